"""The names and layouts that other libraries give the same network's weights."""
