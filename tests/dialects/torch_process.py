"""A process of its own for timm and Transformers, which the tests talk to in lines of JSON."""

import functools
import sys
import types

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from zoo import processes
from zoo.benchmarks.peer_forms import import_timm

torch.set_num_threads(2)


def make(job):
    if job["library"] == "timm":
        return import_timm().create_model(job["name"], num_classes=job["classes"])
    import_timm()  # Transformers imports torchvision where it is installed.
    import transformers

    version = "V1" if "mobilenet_v1" in job["name"] else "V2"
    config = getattr(transformers, f"MobileNet{version}Config")
    classifier = getattr(transformers, f"MobileNet{version}ForImageClassification")
    return classifier(config(num_labels=job["classes"], **job["arguments"]))


class SlimGate(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.relu6(x + 3) * 0.16667


class SlimAveragePool(torch.nn.Module):
    """TensorFlow's SAME average pooling: of what lies inside the map."""

    def __init__(self, kernel, stride):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x):
        from timm.layers.padding import pad_same

        pool = torch.nn.functional.avg_pool2d
        inside = torch.ones_like(x[:1, :1])
        total, count = (
            pool(pad_same(y, self.kernel, self.stride), self.kernel, self.stride)
            for y in (x, inside)
        )
        return total / count


def correct(model):
    """Puts right what the dialect's table says that timm computes otherwise."""
    from timm.layers.pool2d_same import AvgPool2dSame

    for module in model.modules():
        for name, part in module.named_children():
            if isinstance(part, AvgPool2dSame):
                setattr(module, name, SlimAveragePool(part.kernel_size, part.stride))
            if name == "gate":
                setattr(module, name, SlimGate())
    if type(model).__name__ == "InceptionV3":
        pool = torch.nn.functional.avg_pool2d
        functions = types.SimpleNamespace(**vars(torch.nn.functional))
        functions.avg_pool2d = functools.partial(pool, count_include_pad=False)
        sys.modules[type(model).__module__].F = functions


def logits(model, images):
    with torch.no_grad():
        made = model.eval()(torch.from_numpy(np.load(images)).permute(0, 3, 1, 2).contiguous())
    return getattr(made, "logits", made).numpy()


def run(job):
    """Loads a file strictly, and gives the logits of images, as it is and put right."""
    with torch.device("meta"):  # Nothing is drawn for what is loaded next.
        model = make(job)
    model.load_state_dict(load_file(job["file"]), strict=True, assign=True)
    answer = {"logits": logits(model, job["images"]).tolist()}
    if job.get("correct"):
        correct(model)
        answer["corrected"] = logits(model, job["images"]).tolist()
    return answer


def randomize(job):
    """A network with values of its own in every tensor, saved as its library saves it."""
    torch.manual_seed(0)
    model = make(job)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
    if job.get("scales"):
        for name, tensor in model.state_dict().items():
            if name.endswith("bn.weight"):
                tensor.uniform_(0.8, 1.2)
    if job["library"] == "timm":
        save_file(model.state_dict(), job["file"], metadata={"format": "pt"})
    else:
        model.save_pretrained(job["folder"])
    return {"logits": logits(model, job["images"]).tolist()}


def names(job):
    """Names and shapes of a network's tensors."""
    with torch.device("meta"):
        model = make(job)
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def from_pretrained(job):
    """What Transformers' own loading of a folder finds missing or unexpected."""
    import_timm()
    import transformers

    classifier = transformers.MobileNetV1ForImageClassification
    config = transformers.MobileNetV1Config(num_labels=job["classes"], **job["arguments"])
    config.save_pretrained(job["folder"])
    model, found = classifier.from_pretrained(job["folder"], output_loading_info=True)
    wrong = [key for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if found[key]]
    return {"wrong": wrong, "logits": logits(model, job["images"]).tolist()}


if __name__ == "__main__":
    jobs = (run, randomize, names, from_pretrained)
    processes.answer({work.__name__: lambda work=work, **job: work(job) for work in jobs})
