"""TF1's optimizers as Keras's, so that training goes on with what a TF1 checkpoint holds.

Keras's own do not go on in the same way. Its SGD keeps the momentum multiplied by the learning
rate, so a rate that decays gives other steps; its Adam derives the powers of beta from the number
of the step, which in TF1 are variables that may be younger; its moving averages know no warming
up, and at the end of `fit` take the variables' places. The update rules here are those of
TensorFlow 1.15.5's kernels (tensorflow/core/kernels/training_ops.cc).

What a checkpoint does not hold, learning rate, momentum and the like, are arguments. Their
defaults are TensorFlow 1.15.5's, so that `Adam(rate)` is what `tf.train.AdamOptimizer(rate)` was;
where it has none, those of the Slim model library's train_image_classifier.py. That script's own
for RMSProp and Adam are odd ones, epsilon 1.0: `with_slims_settings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import numpy as np
from keras import ops

from zoo.checkpoints.names import SHADOW
from zoo.errors import ArgumentError

# A power of beta below this tells no exponent, and one of _OLD is 0 beside 1.
_VANISHED = 1e-30
_OLD = 1 << 40

Schedule = keras.optimizers.schedules.LearningRateSchedule


class TF1Optimizer(keras.optimizers.Optimizer):
    """Base of TF1's optimizers: slots under their TF1 names, and moving averages.

    `iterations` is TF1's global_step. With `gradient_accumulation_steps` it counts updates.

    Attributes:
        slot_names: for each slot, what its name in a checkpoint adds to its variable's:
            "RMSProp" and "RMSProp_1" for `VARIABLE/RMSProp` and `VARIABLE/RMSProp_1`.

    Args:
        learning_rate: a number, or a Keras schedule, a function of global_step.
        moving_average_decay: keeps a moving average of each variable, as
            `tf.train.ExponentialMovingAverage(decay, global_step)` does after each step: with
            the smaller of this decay and (1 + global_step) / (10 + global_step). None for none.
        **options: as for every Keras optimizer (`clipnorm`, `name`, ...).
    """

    slot_names: tuple[str, ...] = ()

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        *,
        moving_average_decay: float | None = None,
        **options,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.moving_average_decay = moving_average_decay
        self._slots: list[list[keras.Variable]] = []
        self._averages: list[keras.Variable] = []
        # Past __setattr__, which would make them the optimizer's own, as its files have them.
        self.__dict__["_further"] = []

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes slots and moving averages, with the initial values that TF1 gives them."""
        if self.built:
            return
        super().build(variables)
        self._slots = [
            self.add_optimizer_variables(variables, name, self._initial_slot(name))
            for name in self.slot_names
        ]
        if self.moving_average_decay is not None:
            self._averages = [self._average_of(variable) for variable in variables]

    def average_also(self, variables: Iterable[keras.Variable]) -> None:
        """Keeps moving averages of further variables: moving_mean and its like, as Slim does.

        A `.keras` file does not keep them; a TF1 checkpoint does (`zoo.checkpoints.write`).
        """
        self._further.extend(
            (keras.Variable(v, dtype=v.dtype, trainable=False, aggregation="mean"), v)
            for v in variables
        )

    def state_of(self, variables: Mapping[str, keras.Variable]) -> dict[str, keras.Variable]:
        """Name in a TF1 checkpoint -> slot or moving average, for variables by their TF1 names."""
        averages = {id(variable): average for average, variable in self._further}
        state = {}
        for name, variable in variables.items():
            index = self._trainable_variables_indices.get(self._var_key(variable))
            if index is not None:
                for slot_name, slots in zip(self.slot_names, self._slots, strict=True):
                    state[f"{name}/{slot_name}"] = slots[index]
                if self._averages:
                    averages[id(variable)] = self._averages[index]
            if id(variable) in averages:
                state[f"{name}/{SHADOW}"] = averages[id(variable)]
        return state

    @property
    def global_step(self) -> int:
        """`iterations` as a number."""
        return int(ops.convert_to_numpy(self.iterations))

    def go_to(self, global_step: int) -> None:
        """Sets `iterations`, and so the position of a learning-rate schedule."""
        self._iterations.assign(global_step * (self.gradient_accumulation_steps or 1))

    def checkpoint_state(self, variables: Mapping[str, keras.Variable]) -> dict[str, object]:
        """All that a TF1 checkpoint holds of an optimizer, global_step too, by its names."""
        return {**self.state_of(variables), "global_step": np.int64(self.global_step)}

    def update_step(self, gradient, variable, learning_rate) -> None:
        index = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        self.update(gradient, variable, rate, *[slots[index] for slots in self._slots])
        if self._averages:
            self._move(self._averages[index], variable, self.iterations + 1)

    def update(self, gradient, variable, rate, *slots) -> None:
        """The optimizer's rule for one variable."""
        raise NotImplementedError

    def apply(self, grads, trainable_variables=None) -> None:
        super().apply(grads, trainable_variables)
        for average, variable in self._further:
            self._move(average, variable, self.iterations)

    def get_config(self) -> dict:
        return {**super().get_config(), "moving_average_decay": self.moving_average_decay}

    def _initial_slot(self, name: str) -> keras.initializers.Initializer:
        return keras.initializers.Zeros()

    def _average_of(self, variable: keras.Variable) -> keras.Variable:
        average = self.add_variable_from_reference(variable, SHADOW)
        average.assign(variable)
        return average

    def _move(self, average, variable, step) -> None:
        step = ops.cast(step, variable.dtype)
        decay = ops.minimum(self.moving_average_decay, (1 + step) / (10 + step))
        self.assign_sub(average, (1 - decay) * (ops.subtract(average, variable)))


@keras.saving.register_keras_serializable(package="zoo")
class GradientDescent(TF1Optimizer):
    """`tf.train.GradientDescentOptimizer`: no slots."""

    def update(self, gradient, variable, rate) -> None:
        self.assign_sub(variable, rate * gradient)


@keras.saving.register_keras_serializable(package="zoo")
class Momentum(TF1Optimizer):
    """`tf.train.MomentumOptimizer`: the slot sums gradients, without the learning rate.

    Args:
        learning_rate, moving_average_decay, **options: as in TF1Optimizer.
        momentum: what is kept of the sum at each step.
        use_nesterov: steps as if the next gradient were this one. No checkpoint tells it.
    """

    slot_names = ("Momentum",)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.9,
        use_nesterov: bool = False,
        **options,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = momentum
        self.use_nesterov = use_nesterov

    def update(self, gradient, variable, rate, sum_) -> None:
        self.assign(sum_, self.momentum * sum_ + gradient)
        step = gradient + self.momentum * sum_ if self.use_nesterov else sum_
        self.assign_sub(variable, rate * step)

    def get_config(self) -> dict:
        own = {"momentum": self.momentum, "use_nesterov": self.use_nesterov}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="zoo")
class RMSProp(TF1Optimizer):
    """`tf.train.RMSPropOptimizer`: epsilon inside the root, and momentum of the scaled steps.

    Args:
        learning_rate, moving_average_decay, **options: as in TF1Optimizer.
        decay: what is kept of the mean square at each step.
        momentum: what is kept of the last step.
        epsilon: added to the mean square. Slim's script has 1.0, and momentum 0.9.
        centered: divides by the variance instead; a third slot has the mean.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        decay: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-10,
        centered: bool = False,
        **options,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.slot_names = ("RMSProp", "RMSProp_1", *["RMSProp_2"] * centered)
        self.decay = decay
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def update(self, gradient, variable, rate, square, *mean_and_last) -> None:
        *means, last = mean_and_last
        self._blend(square, ops.square(gradient))
        spread = ops.convert_to_tensor(square)
        for mean in means:
            self._blend(mean, gradient)
            spread = spread - ops.square(mean)
        step = rate * gradient * ops.rsqrt(spread + self.epsilon)
        self.assign(last, self.momentum * last + step)
        self.assign_sub(variable, last)

    def _blend(self, slot, value) -> None:
        self.assign(slot, self.decay * slot + (1 - self.decay) * value)

    def _initial_slot(self, name: str) -> keras.initializers.Initializer:
        ones = name == self.slot_names[0]
        return keras.initializers.Ones() if ones else keras.initializers.Zeros()

    def get_config(self) -> dict:
        own = {name: getattr(self, name) for name in ("decay", "momentum", "epsilon", "centered")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="zoo")
class Adam(TF1Optimizer):
    """`tf.train.AdamOptimizer`: epsilon is the "epsilon hat" of the paper's section 2.1.

    Args:
        learning_rate, moving_average_decay, **options: as in TF1Optimizer.
        beta1, beta2: what is kept of the means of gradient and squared gradient.
        epsilon: added to the root. Slim's script has 1.0, and a learning rate of 0.01.
    """

    slot_names = ("Adam", "Adam_1")

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        **options,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        # The powers' exponent less `iterations`: an Adam may be younger than the global step.
        self._head_start = self.add_variable((), "ones", dtype="int64", name="head_start")

    def update(self, gradient, variable, rate, mean, square) -> None:
        beta1, beta2 = self._betas()
        self.assign_sub(mean, (1 - beta1) * (mean - gradient))
        self.assign_sub(square, (1 - beta2) * (square - ops.square(gradient)))
        power1, power2 = (ops.cast(power, variable.dtype) for power in self.powers())
        rate = rate * ops.sqrt(1 - power2) / (1 - power1)
        self.assign_sub(variable, rate * mean / (ops.sqrt(square) + self.epsilon))

    def checkpoint_state(self, variables: Mapping[str, keras.Variable]) -> dict[str, object]:
        powers = zip(("beta1_power", "beta2_power"), self.powers(), strict=True)
        own = {name: ops.convert_to_numpy(power).astype(np.float32) for name, power in powers}
        return {**super().checkpoint_state(variables), **own}

    def powers(self) -> tuple:
        """beta1_power and beta2_power, TF1's variables of these names, as scalars."""
        exponent = ops.cast(self.iterations + self._head_start, "float64")
        return tuple(ops.power(ops.cast(beta, "float64"), exponent) for beta in self._betas())

    def set_powers(self, beta1_power: float, beta2_power: float) -> None:
        """Goes on from TF1's variables of these names; after `go_to`.

        Raises:
            ArgumentError: they are not the same power of the two betas.
        """
        exponents = [
            round(np.log(power) / np.log(beta))
            for power, beta in zip((beta1_power, beta2_power), self._betas(), strict=True)
            if 0 < beta < 1 and power > _VANISHED
        ]
        # TF1 multiplies in float32, whose rounding adds up.
        if len(exponents) == 2 and abs(exponents[0] - exponents[1]) > 1 + 1e-3 * exponents[1]:
            raise ArgumentError(
                "The powers in the checkpoint are not those of Adam's betas.",
                received=f"beta1={self.beta1}, beta2={self.beta2} for "
                f"beta1_power={beta1_power:.6g}, beta2_power={beta2_power:.6g}",
                next_step="pass resume=zoo.training.optimizers.Adam(...) with the betas that "
                "TF1 was given.",
            )
        # Powers that have vanished are those of an old optimizer, of whatever age.
        exponent = exponents[0] if exponents else _OLD
        self._head_start.assign(exponent - self.global_step)

    def _betas(self) -> tuple[float, float]:
        """As TF1 has them, in float32: 1 - beta2 differs in the fifth digit."""
        return float(np.float32(self.beta1)), float(np.float32(self.beta2))

    def get_config(self) -> dict:
        own = {name: getattr(self, name) for name in ("beta1", "beta2", "epsilon")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="zoo")
class Adagrad(TF1Optimizer):
    """`tf.train.AdagradOptimizer`: no epsilon; the sum of squares starts above 0.

    Args:
        learning_rate, moving_average_decay, **options: as in TF1Optimizer.
        initial_accumulator_value: where the sum of squares starts.
    """

    slot_names = ("Adagrad",)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        initial_accumulator_value: float = 0.1,
        **options,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = initial_accumulator_value

    def update(self, gradient, variable, rate, squares) -> None:
        self.assign_add(squares, ops.square(gradient))
        self.assign_sub(variable, rate * gradient * ops.rsqrt(squares))

    def _initial_slot(self, name: str) -> keras.initializers.Initializer:
        return keras.initializers.Constant(self.initial_accumulator_value)

    def get_config(self) -> dict:
        own = {"initial_accumulator_value": self.initial_accumulator_value}
        return {**super().get_config(), **own}


# What train_image_classifier.py of the Slim model library gives them: its flags' defaults.
_SLIMS = {RMSProp: {"momentum": 0.9, "epsilon": 1.0}, Adam: {"epsilon": 1.0}}


def with_slims_settings(
    kind: type[TF1Optimizer], learning_rate: float | Schedule = 0.01, **options
) -> TF1Optimizer:
    """An optimizer as Slim's training script makes it by default.

    Args:
        kind: a class of this module.
        learning_rate, **options: as the class takes them, in place of Slim's.
    """
    return kind(learning_rate, **{**_SLIMS.get(kind, {}), **options})
