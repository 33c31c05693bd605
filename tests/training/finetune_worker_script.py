"""One of the workers of a fine-tuning; TF_CONFIG says which. Arguments: images, checkpoint, folder,
and after how many steps of this process it is to be killed (0 for never)."""

import json
import os
import signal
import sys

import numpy as np
from lenet_run import OPTIONS

import zoo
from zoo.training import progress

images, checkpoint, folder, kill_after = sys.argv[1:]
end = progress.KeepState.on_train_batch_end
steps = []


def ended(self, batch, logs=None):
    end(self, batch, logs)
    steps.append(batch)
    if len(steps) == int(kill_after):
        os.kill(os.getpid(), signal.SIGKILL)


progress.KeepState.on_train_batch_end = ended
result = zoo.finetune(
    "lenet", images, folder=folder, tf1_ckpt=checkpoint, strategy="multiworker", **OPTIONS
)
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
weights = f"{folder}.of-worker-{index}.npz"
np.savez(weights, *[np.array(variable) for variable in result.model.weights])
print(json.dumps({"weights": weights, "report": result.report, "steps": len(steps)}))
