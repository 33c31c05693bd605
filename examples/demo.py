"""A real TF1 checkpoint in Keras 3: fetched, loaded, proven equal to its TF1 graph, at work.

    python examples/demo.py

The photos are scikit-image's samples: Chelsea the cat (CC0, Stéfan van der Walt) and a cup
of coffee (CC0, Rachel Michetti).
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import zoo

NAME = "mobilenet_v1_1.0_224"
PHOTOS = sorted(Path(__file__).parent.glob("*.jpg"))


def main() -> None:
    print(f"Loading {NAME}, trained on ImageNet by Google in TensorFlow 1 ...")
    model = zoo.load(NAME)
    print(f"  {model.load_report}")
    print(f"  a keras.Model with {model.count_params():,} parameters\n")

    print("Comparing it with the TF1 graph, run in a tf.compat.v1.Session ...")
    report = zoo.compare_with_tf1_graph(model)
    print(f"  {report}\n")
    if not report.passed:
        raise SystemExit("The loaded model is not the TF1 graph's function.")

    print("Looking at photos ...")
    probabilities = model.predict(model.preprocess(PHOTOS), verbose=0)
    for photo, predictions in zip(PHOTOS, model.decode(probabilities, top=3), strict=True):
        print(f"  {photo.name}")
        for prediction in predictions:
            print(f"    {prediction.score:6.1%}  {prediction.name} ({prediction.synset})")


if __name__ == "__main__":
    main()
