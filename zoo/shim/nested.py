"""What TF1 code in a decorated method may hold beside variables: Keras layers and templates."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
from tensorflow.python.ops import template

from zoo.errors import ShimError
from zoo.shim.calls import current_call


def get_or_create_layer(
    name: str, create_layer_method: Callable[[], keras.layers.Layer]
) -> keras.layers.Layer:
    """A Keras layer or model inside a decorated method: made once, then the same at every call.

    Its weights and losses are tracked under the decorated object. For code that made Keras
    layers in TF1's functional way; new code keeps them as attributes of its object.

    Args:
        name: what the layer is known by in the decorated object.
        create_layer_method: makes the layer; takes no arguments.

    Raises:
        ShimError: outside of a decorated method, or the name is a variable's.
    """
    call = current_call()
    if call is None:
        raise ShimError(
            "get_or_create_layer is called outside of a decorated method.",
            received=f"name={name!r}",
            next_step="call it in a method with @track_tf1_style_variables.",
        )
    return call.store.get_or_create_layer(name, create_layer_method)


def make_template(
    name_,
    func_,
    create_scope_now_=False,
    unique_name_=None,
    custom_getter_=None,
    **kwargs,
) -> Callable:
    """`tf.compat.v1.make_template`, for templates that decorated methods call.

    Make the template once, as an attribute of the layer or module, and call it in the
    decorated method: its variables are made there at the first call and reused at every
    other, under the variable scope of the first. (In eager mode TensorFlow's own gives a
    template that keeps its variables to itself.)

    Args:
        name_, func_, create_scope_now_, unique_name_, custom_getter_, **kwargs: as there.

    Raises:
        ShimError: at the call, where the template already belongs to another object.
    """
    return _Template(
        name_,
        lambda: template.Template(
            name_,
            functools.partial(func_, **kwargs) if kwargs else func_,
            create_scope_now=create_scope_now_,
            unique_name=unique_name_,
            custom_getter=custom_getter_,
        ),
    )


class _Template:
    """A template that belongs to the first decorated object that calls it.

    In every call of the object's method it is a TF1 template of its own, which makes the same
    names: the object's store knows the variables by those.
    """

    def __init__(self, name: str, make: Callable[[], template.Template]) -> None:
        self._name = name
        self._make = make
        self._store = None
        self._call = None
        self._inner = None

    def __call__(self, *args, **kwargs):
        call = current_call()
        if call is None:
            raise ShimError(
                f"Template {self._name!r} is called outside of a decorated method.",
                next_step="call it in a method with @track_tf1_style_variables.",
            )
        self._store = self._store or call.store
        if call.store is not self._store:
            raise ShimError(
                f"Template {self._name!r} is called by two objects, and belongs to the first.",
                next_step="make a template for each: two layers share no variables by name.",
            )
        if call is not self._call:
            self._call, self._inner = call, self._make()
        return self._inner(*args, **kwargs)
