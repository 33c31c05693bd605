"""examples/jax_data_parallel.py on one and on two devices of JAX. Arguments: the example, a native
.keras file, an .npz file of images and labels, a folder."""

import importlib.util
import json
import sys

example, model, data, folder = sys.argv[1:]
# What is not there cannot be needed.
sys.modules["tensorflow"] = sys.modules["zoo"] = None
spec = importlib.util.spec_from_file_location("jax_data_parallel", example)
jax_data_parallel = importlib.util.module_from_spec(spec)
spec.loader.exec_module(jax_data_parallel)

import jax  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402

with np.load(data) as arrays:
    images, labels = arrays["images"], arrays["labels"]
facts = {"backend": keras.backend.backend(), "devices": len(jax.devices())}
for count in (1, 2):
    jax_data_parallel.data_parallel([f"cpu:{index}" for index in range(count)])
    trained, history = jax_data_parallel.train(
        model, images, labels, epochs=2, batch_size=8, learning_rate=0.02, verbose=0
    )
    shards = trained.trainable_variables[0].value.sharding.device_set
    facts[str(count)] = {"history": history, "devices": len(shards)}
    np.savez(f"{folder}/{count}.npz", *trained.get_weights())
print(json.dumps(facts))
