"""Runs native models on the Keras backend that KERAS_BACKEND names, without zoo or TensorFlow.

Reads requests, one a line. `{"config": path, "map": path, "constants": path, "shape": [...],
"result": path}` builds the model of that JSON, gives it the recipe's weights by the weight map,
and writes its output for the recipe's images of that shape. `{"keras": path, ...}` loads a
`.keras` file instead, and `{"config": path, "weights": path, ...}` a `.weights.h5` file. Answers
each with a line.
"""

import gc
import json
import re
import sys
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import recipe

# Drawing random values costs JAX a compilation for each shape, and they are replaced anyway.
_DRAWN = re.compile(r'"class_name": "GlorotUniform", "config": \{[^}]*\}')


def model_of(request: dict) -> keras.Model:
    if "keras" in request:
        return keras.saving.load_model(request["keras"])
    config = _DRAWN.sub('"class_name": "Zeros", "config": {}', Path(request["config"]).read_text())
    model = keras.models.model_from_json(config)
    if "weights" in request:
        model.load_weights(request["weights"])
    else:
        give_weights(model, json.loads(Path(request["map"]).read_text()), request["constants"])
    return model


def give_weights(model: keras.Model, weight_map: dict, constants: str) -> None:
    of_the_graph = np.load(constants)
    for entry in weight_map["weights"]:
        variable = getattr(model.get_layer(entry["layer"]), entry["weight"])
        if entry["how"] == "constant":
            value = of_the_graph[f"{entry['layer']}/{entry['weight']}"]
        else:
            value = recipe.weights(entry["tf1"][0], tuple(entry["shape"]))
        variable.assign(value)


def outputs_of(model: keras.Model, images: np.ndarray):
    if keras.backend.backend() != "torch":
        return model.predict_on_batch(images)
    import torch

    with torch.no_grad():
        return model(images, training=False)


def give_memory_back() -> None:
    gc.collect()
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        model = model_of(request)
        outputs = outputs_of(model, recipe.images(request["shape"]))
        np.save(request["result"], keras.ops.convert_to_numpy(outputs))
        del model, outputs
        give_memory_back()
        loaded = [name for name in ("zoo", "tf_slim", "tensorflow") if name in sys.modules]
        print(json.dumps({"backend": keras.backend.backend(), "loaded": loaded}), flush=True)


main()
