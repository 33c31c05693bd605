"""Equivalence and speed of zoo's networks on a GPU, without TensorFlow; see docs/gpu.md.

`python -m gpu_check`, which ../gpu_check.sh runs: reads a bundle (bundle.py) that
../make_gpu_bundle.py made, has each form of a network in a process of its own (processes.py,
worker.py with jax_forms.py and torch_forms.py), compares what they compute with what TensorFlow
1.15.5 recorded (equivalence.py), times them in turn (throughput.py, roofline.py) and writes CSV and
JSON (report.py).
"""
