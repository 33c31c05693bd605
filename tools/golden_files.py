"""Files of recorded values: written, and held against a new recording."""

import gzip
import json
import os

import numpy as np

TOLERANCE = 1e-6  # of a tensor's largest value: one program on one machine, or two alike


def path_of(folder, kind, name):
    """Where the values of a network are, JSON or arrays."""
    return os.path.join(folder, kind, name + (".json.gz" if kind == "variables" else ".npz"))


def write(golden, path):
    """Writes a recording; whole under its name, or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = path + ".part"
    try:
        with open(temporary, "wb") as file:
            if path.endswith(".npz"):
                np.savez_compressed(file, **golden)
            else:
                text = json.dumps(golden, separators=(",", ":"))
                file.write(gzip.compress(text.encode(), 9))
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def read(path):
    if path.endswith(".npz"):
        with np.load(path) as arrays:
            return dict(arrays)
    with gzip.open(path) as file:
        return json.loads(file.read().decode())


def check(golden, path):
    """Prints how a recording differs from the file; returns whether it is the same."""
    if not os.path.exists(path):
        print(path, "is not there")
        return False
    made, known = facts(golden), facts(read(path))
    differences = {name: difference(made[name], known[name]) for name in made if name in known}
    wrong = {name: value for name, value in differences.items() if value > TOLERANCE}
    worst = max(differences.values(), default=0.0)
    print(f"{path}: {len(differences)} compared, the worst {worst:.1e} apart", flush=True)
    for name, value in wrong.items():
        print(f"  {name}: {value:.1e} apart")
    for side, here, there in (("file", known, made), ("recording", made, known)):
        alone = [name for name in here if name not in there]
        if alone:
            print(f"  only in the {side}: {', '.join(alone)}")
    return bool(differences) and not wrong


def facts(golden):
    """Name -> value: one for each variable, end point, gradient and so on, and for all else.

    `x_names` says what the rows of arrays `x_...` belong to, which are taken together, and a list
    of lists is rows that begin with a name.
    """
    prefixes = [key[: -len("names")] for key in golden if key.endswith("_names")]
    found = {}
    for key, value in golden.items():
        prefix = key.split("_")[0] + "_"
        if prefix in prefixes:
            if np.asarray(value).dtype.kind == "f":
                for name, row in zip(golden[prefix + "names"], value):  # noqa: B905
                    row = np.ravel(row)
                    found[prefix + name] = np.append(found.get(prefix + name, row[:0]), row)
        elif isinstance(value, dict):
            found.update({f"{key}: {name}": one for name, one in facts(value).items()})
        elif isinstance(value, list) and value and isinstance(value[0], list):
            found.update({f"{key}: {row[0]}": row[1:] for row in value})
        else:
            found[key] = value
    return found


def difference(made, known):
    """The largest difference in units of the largest known value; of what is no number 0 or 1."""
    if not isinstance(known, (float, np.ndarray)):
        return 0.0 if made == known else 1.0
    made, known = np.asarray(made), np.asarray(known)
    if made.shape != known.shape or made.dtype.kind != "f" or not made.size:
        return 0.0 if np.array_equal(made, known) else 1.0
    return float(np.abs(made - known).max() / (np.abs(known).max() or 1))
