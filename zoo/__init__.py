"""TF1 and TF-Slim image networks in today's TensorFlow and Keras 3.

>>> import zoo
>>> model = zoo.load("mobilenet_v1_1.0_224")
>>> probabilities = model.predict(model.preprocess("photo.jpg"))
>>> model.decode(probabilities, top=5)
"""

from zoo.lazy import bound_on_use

# Name -> the module that has it. Bound on first use: `import zoo` imports neither
# TensorFlow nor anything else that is heavy.
_HOME = {
    "CheckpointMismatchError": "zoo.errors",
    "TF1Model": "zoo.model",
    "NameMap": "zoo.checkpoints",
    "ZooError": "zoo.errors",
    "compare_with_tf1_graph": "zoo.validation",
    "convert": "zoo.dialects",
    "evaluate": "zoo.evaluation.evaluating",
    "finetune": "zoo.training.finetuning",
    "info": "zoo.registry",
    "list_models": "zoo.registry",
    "load": "zoo.loading",
    "load_model": "zoo.model",
    "open_checkpoint": "zoo.hub",
    "publish": "zoo.hub.publishing",
    "register": "zoo.registry",
    "to_native": "zoo.native",
    "validate": "zoo.validation",
    "verify": "zoo.validation",
    "wrap": "zoo.wrapping",
    "write_checkpoint": "zoo.checkpoints",
}

__all__ = sorted(_HOME)
__version__ = "0.1.0"
__getattr__ = bound_on_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
