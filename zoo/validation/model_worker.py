"""The process in which models are validated one after the other; many.py starts it."""

from __future__ import annotations

import gc

from zoo import processes


def validate(name: str, arguments: dict) -> dict:
    import keras

    from zoo.validation.validating import validate

    try:
        return validate(name, **arguments).to_dict()
    finally:
        # Models and their traces are cycles, which would pile up to gigabytes.
        keras.backend.clear_session()
        gc.collect()


if __name__ == "__main__":
    processes.answer({"validate": validate})
