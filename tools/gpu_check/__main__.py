"""The whole run, in the time it is given."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from gpu_check.bundle import Bundle
from gpu_check.equivalence import Equivalence
from gpu_check.processes import FORMS, Worker, WorkerError
from gpu_check.report import Report
from gpu_check.throughput import Throughput

# Of the time: until then comparing, making ready, timing. The rest is for what ends late.
_COMPARED, _READY, _TIMED = 0.35, 0.72, 0.95


def main() -> int:
    given = _arguments()
    bundle = Bundle.read(given.bundle)
    report = Report(given.out, given.seconds)
    report.say(f"{len(bundle.networks)} networks, {given.seconds:.0f} seconds")
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        scratch = Path(folder)
        cpu = _describe(given, bundle, report, scratch)
        if "equivalence" in given.only:
            _equivalence(given, bundle, report, scratch, cpu)
        if "throughput" in given.only:
            _throughput(given, bundle, report, scratch, cpu)
        _keep_logs(scratch, given.out / "workers.log")
    report.say(report.summary())
    for path in report.save():
        print(path)
    measured = any("skipped" not in row for row in report.comparisons + report.speeds)
    return 0 if measured and not report.failed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu_check.sh", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder that holds bundle.json")
    parser.add_argument("out", type=Path, help="folder for CSV, JSON and the log")
    parser.add_argument("--cpu", action="store_true", help="leave GPUs alone; one batch size")
    parser.add_argument("--seconds", type=float, default=440, help="for all of it (%(default)s)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=("equivalence", "throughput"),
        default=("equivalence", "throughput"),
    )
    parser.add_argument(
        "--forms", nargs="+", choices=FORMS, default=list(FORMS), metavar="FORM", help=_forms()
    )
    return parser.parse_args()


def _forms() -> str:
    return "of: " + "; ".join(f'"{form}", {what}' for form, what in FORMS.items())


def _describe(given, bundle: Bundle, report: Report, scratch: Path) -> bool:
    """Finds the device and the versions. Returns whether it is a CPU."""
    devices, versions = [], {}
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                Worker(form, given.bundle, scratch / "start.log", exact=False, cpu=given.cpu)
            )
            for form in {form.split()[0]: form for form in given.forms}.values()
        ]
        for worker in workers:
            try:
                answer = worker.ask("describe", 120)
            except WorkerError as error:
                report.say(f"{worker.form} is not there: {error}")
                continue
            devices.append(answer["device"])
            versions |= answer["versions"]
            report.say(f"{worker.form}: {answer['device']['name']}, {answer['versions']}")
    device = next((one for one in devices if one["kind"] != "cpu"), {"kind": "cpu", "name": "cpu"})
    report.facts |= {"device": device, "versions": versions, "made_by": bundle.made_by}
    return given.cpu or device["kind"] == "cpu"


def _equivalence(given, bundle: Bundle, report: Report, scratch: Path, cpu: bool) -> None:
    report.say("what is computed, against TensorFlow 1.15.5")
    share = _COMPARED if "throughput" in given.only else _TIMED
    deadline = report.started + share * given.seconds
    compared = Equivalence(bundle, given.bundle, scratch, given.forms, report.compared, cpu)
    compared.run(deadline)
    report.save()


def _throughput(given, bundle: Bundle, report: Report, scratch: Path, cpu: bool) -> None:
    report.say("how fast it is")
    throughput = Throughput(bundle, given.bundle, scratch, given.forms, report.say, cpu)

    def save() -> None:
        report.speeds = throughput.rows()
        report.facts["ceilings"] = {
            dtype: vars(found) for dtype, found in throughput.ceilings.items()
        }
        report.save()

    # What comparing left over is for making ready.
    left = report.started + given.seconds - time.monotonic()
    share = (_READY - _COMPARED) / (1 - _COMPARED)
    ready_by = time.monotonic() + share * left
    throughput.run(ready_by, report.started + _TIMED * given.seconds, save)
    save()


def _keep_logs(scratch: Path, to: Path) -> None:
    """What the processes printed last: why something failed, for who is not there any more."""
    with to.open("w") as file:
        for log in sorted(scratch.glob("*.log")):
            file.write(f"=== {log.stem}\n{log.read_text(errors='replace')[-20_000:]}\n")


if __name__ == "__main__":
    sys.exit(main())
