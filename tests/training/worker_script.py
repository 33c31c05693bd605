"""One of two workers of a MultiWorkerMirroredStrategy; TF_CONFIG says which."""

import errno
import json
import os
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else runs

from networks import IMAGES, TARGETS, batches, network  # noqa: E402

from zoo.errors import ArgumentError, ZooError  # noqa: E402
from zoo.training import fit  # noqa: E402
from zoo.training.progress import KeepState  # noqa: E402
from zoo.training.run_folder import RunFolder  # noqa: E402
from zoo.training.workers import Workers  # noqa: E402

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

# What workers agree on.
workers = Workers(strategy)
mine = {"is_chief": is_chief, "text": "a"}
with strategy.scope():
    variables = [keras.Variable(np.full((2, 3), 0.1 + is_chief, np.float32))]
workers.share(variables)
facts["agreed"] = {
    "workers": workers.count,
    "of the chief": workers.of_chief(lambda: mine),
    "any": [workers.any(not is_chief), workers.any(False)],
    "shared": variables[0].numpy().tolist(),
}


def failure(action) -> list:
    try:
        action()
    except (ZooError, OSError) as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]


def fail(error):
    def failing(*_, **__):
        raise error

    return failing


facts["failures"] = {
    "bad argument": failure(lambda: workers.of_chief(fail(ArgumentError("No such thing.")))),
    "others than the chief": failure(lambda: workers.check_alike(mine)),
}


# A user of the worker that is not the chief presses Ctrl-C; then the chief's disk is full.
class Interrupt(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1 and not is_chief:
            asked.set()


asked = threading.Event()
run = RunFolder(folder / "run", {"rate": 0.1}, workers)
with strategy.scope():
    model = network()
    stopping = [Interrupt(), KeepState(run, 0, 0, 4, None, asked)]
    try:
        fit(model, IMAGES, TARGETS, batch_size=4, verbose=0, callbacks=stopping)
    except KeyboardInterrupt:
        facts["interrupted"] = [run["step"], asked.is_set()]
np.savez = fail(OSError(errno.ENOSPC, "No space left on device"))
facts["failures"]["full disk"] = failure(lambda: run.save(variables, stage=0, step=9))
facts["after the failure"] = run.where()
facts["files of the run"] = sorted(path.name for path in run.path.iterdir())
print(json.dumps(facts))
