from zoo.images import BACKGROUND, imagenet_labels


def test_the_order_is_that_of_ilsvrc2012():
    labels = imagenet_labels()
    synsets = [label.synset for label in labels]
    assert len(set(synsets)) == 1000 and synsets == sorted(synsets)
    assert all(s[0] == "n" and len(s) == 9 and s[1:].isdigit() for s in synsets)


def test_known_classes():
    """Indices as in keras.applications' imagenet_class_index.json."""
    labels = imagenet_labels()
    assert labels[0] == ("n01440764", "tench, Tinca tinca")
    assert labels[285] == ("n02124075", "Egyptian cat")
    assert labels[967] == ("n07920052", "espresso")
    assert labels[999].synset == "n15075141" and labels[999].name.startswith("toilet tissue")
    assert labels[134].synset == "n02012849" and labels[517].synset == "n03126707"  # both cranes
    assert BACKGROUND == (None, "background")


def test_callers_cannot_change_each_others_labels():
    imagenet_labels().clear()
    assert len(imagenet_labels()) == 1000
