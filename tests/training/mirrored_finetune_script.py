"""A fine-tuning on two replicas, which are logical devices of the CPU. Arguments: images,
checkpoint, folder."""

import json
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf
from lenet_run import OPTIONS

import zoo
from zoo.errors import ZooError

images, checkpoint, folder = sys.argv[1:]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
options = OPTIONS | {"folder": folder, "strategy": strategy}
result = zoo.finetune("lenet", images, tf1_ckpt=checkpoint, **options)
weights = f"{folder}.npz"
np.savez(weights, *[np.array(variable) for variable in result.model.weights])


def refusal(model, **changed) -> str:
    arguments = {key: value for key, value in options.items() if key != "dropout_keep_prob"}
    try:
        zoo.finetune(model, images, **arguments | {"folder": tempfile.mkdtemp()} | changed)
    except ZooError as error:
        return str(error)
    return "none"


class Greedy(keras.layers.Layer):
    def call(self, inputs):
        much = tf.random.uniform([tf.shape(inputs)[0], 2**20, 2**24])
        return inputs + tf.reduce_sum(much)


def small_model(*layers) -> keras.Model:
    inputs = net = keras.Input((28, 28, 3))
    for layer in [*layers, keras.layers.Flatten(), keras.layers.Dense(3)]:
        net = layer(net)
    return keras.Model(inputs, net)


with strategy.scope():
    greedy, plain = small_model(Greedy()), small_model()
refusals = {
    "a model of no strategy": refusal(small_model(), preprocessing="inception"),
    "an odd batch": refusal("lenet", batch_size=5),
    "out of memory": refusal(greedy, batch_size=8, preprocessing="inception", moving_average=None),
    "no number": refusal(plain, preprocessing="inception", optimizer="sgd", learning_rate=1e38),
}
print(json.dumps({"weights": weights, "report": result.report, "refusals": refusals}))
