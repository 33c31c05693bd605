"""One of two workers of a MultiWorkerMirroredStrategy; TF_CONFIG says which."""

import json
import os
import sys
from pathlib import Path

import keras
import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else runs

from networks import IMAGES, TARGETS, batches, network  # noqa: E402

from zoo.training import fit  # noqa: E402

folder = Path(sys.argv[1])
is_chief = json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 0
saved = folder / ("of_the_chief.weights.h5" if is_chief else "of_the_other.weights.h5")
facts: dict = {}

with strategy.scope():
    model = network()
    normalized = {kind: network(kind) for kind in ("keras", "slim")}
history = fit(
    model,
    IMAGES,
    TARGETS,
    batch_size=4,
    epochs=2,
    shuffle=False,
    validation_data=(IMAGES, TARGETS),
    verbose=0,
    checkpoint_dir=folder / "epochs",
    callbacks=[keras.callbacks.ModelCheckpoint(saved, save_weights_only=True)],
)
facts["weights"] = [weight.tolist() for weight in model.get_weights()]
facts["history"] = history.history
facts["optimizer"] = [variable.numpy().tolist() for variable in model.optimizer.variables]

# Interrupted after the second epoch: a new model goes on with the third.
with strategy.scope():
    continued = network()
again = fit(
    continued,
    IMAGES,
    TARGETS,
    batch_size=4,
    epochs=3,
    shuffle=False,
    verbose=0,
    checkpoint_dir=folder / "epochs",
)
facts["epochs of the second call"] = again.epoch
facts["weights after three epochs"] = [weight.tolist() for weight in continued.get_weights()]

for kind, model in normalized.items():
    fit(model, batches(8), verbose=0)
    mean, variance = [v for v in model.non_trainable_variables if "moving" in v.path]
    facts[f"moving averages of {kind}"] = {
        "mean": mean.numpy().tolist(),
        "variance": variance.numpy().tolist(),
    }
facts["files"] = sorted(path.name for path in folder.rglob("*.h5"))

print(json.dumps(facts))
