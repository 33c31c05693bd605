"""How often a network is right: top-1 and top-5 on labelled images, against published figures."""
