"""Two replicas on two logical devices, beside one device under Keras's own fit."""

import json

import keras
import tensorflow as tf
from networks import (
    IMAGES,
    TARGETS,
    WEIGHTS,
    batches,
    far_apart,
    histories_apart,
    network,
    replicas_apart,
    with_momentum,
)

from zoo.errors import ZooError
from zoo.training import evaluate, fit

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
facts: dict = {}


def accepts(reduction: str) -> bool:
    """Whether this Keras has that reduction: 3.6 lacks one."""
    try:
        keras.losses.MeanSquaredError(reduction=reduction)
    except ValueError:
        return False
    return True


def compare(name: str, *args, make_optimizer=with_momentum, data=(IMAGES, TARGETS), **kwargs):
    one = network(*args, optimizer=make_optimizer(), **kwargs)
    with strategy.scope():
        two = network(*args, optimizer=make_optimizer(), **kwargs)
    before = [weight.copy() for weight in one.get_weights()]
    settings = {"epochs": 2, "verbose": 0, "shuffle": False}
    if not isinstance(data, tf.data.Dataset):
        data, *rest = data
        settings |= {"batch_size": 4, "y": rest[0], "sample_weight": (rest[1:] or [None])[0]}
    by_keras = one.fit(data, **settings)
    by_zoo = fit(two, data, **settings)
    facts[name] = {
        "moved": far_apart(before, one.get_weights()),
        "weights_apart": far_apart(one.get_weights(), two.get_weights()),
        "history_apart": histories_apart(by_keras, by_zoo),
        "replicas_apart": replicas_apart(two),
    }
    return one, two


one, two = compare("two steps", data=batches(8))
facts["evaluated by Keras"] = one.evaluate(
    IMAGES, TARGETS, batch_size=4, verbose=0, return_dict=True
)
facts["evaluated by zoo"] = evaluate(two, IMAGES, TARGETS, batch_size=4, verbose=0)

compare("uneven", data=(IMAGES, TARGETS, WEIGHTS))
compare(
    "sum",
    data=(IMAGES, TARGETS, WEIGHTS),
    reduction="sum",
    make_optimizer=lambda: keras.optimizers.SGD(0.005),
)
if accepts("mean_with_sample_weight"):
    compare("weighted mean", data=(IMAGES, TARGETS, WEIGHTS), reduction="mean_with_sample_weight")
compare("clipped", make_optimizer=lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.05))

for kind in ("keras", "slim"):
    with strategy.scope():
        model = network(kind)
    fit(model, batches(8), epochs=1, verbose=0)
    mean, variance = [v for v in model.non_trainable_variables if "moving" in v.path]
    facts[f"moving averages of {kind}"] = {
        "mean": mean.numpy().tolist(),
        "variance": variance.numpy().tolist(),
        "replicas_apart": replicas_apart(model),
    }

# A dataset that the user has distributed, over which epochs go on.
with strategy.scope():
    model = network()
distributed = strategy.experimental_distribute_dataset(batches(8))
one = network()
by_keras = one.fit(batches(8).repeat(), steps_per_epoch=3, epochs=2, verbose=0)
by_zoo = fit(model, distributed, steps_per_epoch=3, epochs=2, verbose=0)
facts["distributed by the user"] = {
    "weights_apart": far_apart(one.get_weights(), model.get_weights()),
    "history_apart": histories_apart(by_keras, by_zoo),
}


def refusal(action) -> str:
    try:
        action()
    except (ZooError, tf.errors.InvalidArgumentError) as error:
        return str(error)
    return "none"


with strategy.scope():
    model = network()
    compiled_by_xla = network(jit_compile=True)
    accumulating = network(optimizer=keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
model.compile(keras.optimizers.SGD(0.1), "mse")  # outside
facts["refusals"] = {
    "compiled outside": refusal(lambda: fit(model, IMAGES, TARGETS)),
    "empty part": refusal(
        lambda: fit(two, strategy.experimental_distribute_dataset(batches(5)), verbose=0)
    ),
    "XLA": refusal(lambda: fit(compiled_by_xla, IMAGES, TARGETS)),
    "accumulation": refusal(lambda: fit(accumulating, IMAGES, TARGETS)),
    "another strategy": refusal(lambda: fit(network(), IMAGES, TARGETS, strategy=strategy)),
}
print(json.dumps(facts))
