"""Judges food11 on an arm64 machine that is none: Debian's arm64 user space under qemu, behind a real OpenSSH server.

What runs there is right; its times say nothing. Size, parity and accuracy gate, since they are promised for any AArch64
processor; the Cortex-A76's latency is OFF_TARGET. Needs root, Debian's package sources, an OpenSSH server and 2 GB.

    python benchmarks/arm64_board.py [--keep FOLDER] [--pictures 55] [--phone] [pytest options]

With --phone the machine is one that adb reaches, laid out as Android is: busybox in /system/bin, /data/local/tmp, no
C library and no Python, which `kpi reach setup --python` brings.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fixtures.food11.recipes import CLASSES  # noqa: E402
from tests.support.adbd import phone  # noqa: E402
from tests.support.boards import NAME, Board, may_mount, serving  # noqa: E402

PACKAGES = (
    *(
        "base-files",
        "base-passwd",
        "bash",
        "busybox-static",
        "coreutils",
        "dash",
        "findutils",
        "grep",
        "libc-bin",
        "libgomp1",
        "libstdc++6",
    ),
    *("procps", "python3.13", "python3.13-venv", "sed", "tar", "util-linux"),
)
DEBIAN, KEYS = "http://deb.debian.org/debian trixie", "/usr/share/keyrings/debian-archive-keyring.gpg"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
ELF = (
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
)
"""How a program for AArch64 begins, and which of its bits count."""
CPUINFO = """\
processor	: 0
BogoMIPS	: 108.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x0
CPU part	: 0xd08
CPU revision	: 3
"""
"""A Cortex-A72, as which qemu runs programs."""
KPIS = """\
[measure]
seconds = "20 ms"
samples = 8
looks = [2]
confidence = "70 %"

[machine.edge]
device = "edge"
cpu = "*Cortex-A76*"

[machine.any-arm]
device = "edge"
arch = "aarch64"

[workload.food11]
task = "image-classification"
fixture = "fixtures.food11"
data = "pictures"
reference = "fp32-onnx"

[workload.food11.recipe.fp32-onnx]
runtime = "onnxruntime"
passes = ["onnx"]
"""
RECIPES = {
    "int8-onnx": ("onnxruntime", '"onnx", { pass = "onnx-static-int8", calibration = 64 }'),
    "int8-litert": ("litert", '"litert", { pass = "litert-int8", calibration = 64 }'),
    "int8-executorch": ("executorch", '{ pass = "executorch-int8", calibration = 64 }'),
    "fp32-ncnn": ("ncnn", '"onnx", "ncnn"'),
}
"""Runtime and passes; one thread, since those that wait for each other take an emulator's time."""
TARGETS = """
[workload.food11.recipe.{recipe}]
runtime = {{ name = "{runtime}"{threads} }}
{environment}passes = [{passes}]
scenario.evaluate = {{ batch = 1 }}

[[kpi]]
name = "{recipe}-arm"
workload = "food11"
recipe = "{recipe}"
machine = "any-arm"

[kpi.targets]
"size" = "< 10 MB"
"parity.agreement" = ">= 75 %"
"accuracy.top1" = ">= 75 %"

[[kpi]]
name = "{recipe}-speed"
workload = "food11"
recipe = "{recipe}"
machine = "edge"
targets = {{ "latency.p50" = "< 15 ms" }}
"""


def user_space(folder: Path) -> tuple[Path, Path]:
    """Fetches Debian's packages for arm64 and qemu: a root folder, and the program that runs what is in it."""
    root, state, qemu = folder / "root", folder / "apt", folder / "qemu/usr/bin/qemu-aarch64-static"
    if qemu.exists() and root.is_dir():
        return root, qemu
    for path in ("lists/partial", "archives/partial"):
        (state / path).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"deb [signed-by={KEYS}] {DEBIAN} main\n", encoding="ascii")
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
        "Dir::Cache": str(state),
        "Dir::Etc::sourcelist": str(state / "sources.list"),
        "Dir::Etc::sourceparts": "-",
        "Dir::State": str(state),
        "Dir::State::status": str(state / "status"),
    }
    own = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    run("apt-get", *own, "-qq", "update")
    run("apt-get", *own, "-qq", "-y", "install", "--download-only", *PACKAGES)
    run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "qemu-user-static", cwd=folder)
    for package in sorted((state / "archives").glob("*.deb")):
        run("dpkg-deb", "-x", str(package), str(root))
    run("dpkg-deb", "-x", str(next(folder.glob("qemu-user-static*.deb"))), str(folder / "qemu"))
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n", encoding="ascii")
    (root / "etc/cpuinfo").write_text(CPUINFO, encoding="ascii")
    for name in ("proc", "dev", "sys", "root/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return root, qemu


def run(*command: str, cwd: Path | None = None) -> None:
    """Calls a program; what goes wrong ends all."""
    subprocess.run(command, check=True, cwd=cwd)


def register(qemu: Path) -> None:
    """Tells the kernel which program runs those for AArch64, until `disable`."""
    if not (BINFMT / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT))
    disable()
    (BINFMT / "register").write_text(f":kpi-aarch64:M::{ELF}:{qemu}:FP", encoding="ascii")


def disable() -> None:
    """The kernel runs programs for AArch64 no more."""
    if (BINFMT / "kpi-aarch64").exists():
        (BINFMT / "kpi-aarch64").write_text("-1", encoding="ascii")


def pictures(folder: Path, number: int) -> None:
    """A part of the generated pictures as food11 reads a folder: each in the middle of 256 pixels, which it keeps."""
    from PIL import Image

    from fixtures.food11.images import image, label

    for split, count in (("training", 128), ("validation", 44), ("evaluation", number)):
        for index in range(count):
            frame = Image.new("RGB", (256, 256))
            frame.paste(Image.fromarray(image(split, index)[0]), (16, 16))
            path = folder / split / CLASSES[label(split, index)] / f"{index:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            frame.save(path)


def main() -> int:
    """Sets up, examines and judges; returns the exit code of pytest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="a folder to keep, so that nothing is fetched or built again")
    parser.add_argument("--pictures", type=int, default=55, help="to evaluate on")
    parser.add_argument("--phone", action="store_true", help="reach it by adb; it has no C library, no Python")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    chosen, options = parser.parse_known_args()
    if not may_mount():
        parser.error("this takes the right to mount: run it as root")
    with tempfile.TemporaryDirectory(prefix="kpi-arm64-") as temporary:
        folder = (chosen.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        root, qemu = user_space(folder)
        kpis = folder / "kpis.toml"
        kpis.write_text(KPIS + "".join(map(targets, chosen.recipes)), encoding="utf-8")
        if not (folder / "fixtures").exists():
            (folder / "fixtures").symlink_to(ROOT / "fixtures")
        shutil.rmtree(folder / "pictures", ignore_errors=True)
        pictures(folder / "pictures", chosen.pictures)
        register(qemu)
        try:
            if chosen.phone:
                return judge_phone(folder, root, options)
            return judge_board(folder, root, options)
        finally:
            disable()


def targets(recipe: str) -> str:
    """The tables of one recipe."""
    runtime, passes = RECIPES[recipe]
    apart = runtime == "executorch"
    threads, environment = ("", 'environment = "executorch"\n') if apart else (", threads = 1", "")
    return TARGETS.format(recipe=recipe, runtime=runtime, passes=passes, threads=threads, environment=environment)


def shown(root: Path, below: str, cpuinfo: Path) -> dict[str, Path]:
    """What is where for the machine, in this order: an Arm processor is shown over the system's own files."""
    kernel = {f"{below}/{name}": Path("/", name) for name in ("proc", "sys", "dev")}
    return {below: root, **kernel, f"{below}/proc/cpuinfo": cpuinfo}


def judge_board(folder: Path, root: Path, options: list[str]) -> int:
    """At the machine behind the OpenSSH server."""
    told = {"HOME": "/root", "TMPDIR": "/root/tmp", "KPI_REACH_STORE": "/root/kpi-reach", "QEMU_CPU": "cortex-a72"}
    home = Path(tempfile.mkdtemp(dir=folder))
    system = shown(root, "/mnt", root / "etc/cpuinfo")
    with serving(home, folder / "there", system, root="/mnt", **told) as board:
        return judge(folder, board, f"ssh:{NAME}", [], options)


def judge_phone(folder: Path, root: Path, options: list[str]) -> int:
    """At the machine behind adbd."""
    android = folder / "phone"
    shutil.rmtree(android, ignore_errors=True)
    for name in ("system/bin", "data/local/tmp", "proc", "dev", "sys"):
        (android / name).mkdir(parents=True)
    (android / "bin").symlink_to("system/bin")
    shutil.copy2(root / "bin/busybox", android / "system/bin/busybox")
    for name in ("sh", "tar", "mkdir", "mv", "rm", "ln", "chmod", "uname", "head", "tr"):
        (android / "system/bin" / name).symlink_to("busybox")
    archive = folder / "system.tar"
    run("tar", "-C", str(root), "--exclude=./root", "--exclude=./proc", "-cf", str(archive), ".")
    told = {"PATH": "/system/bin", "HOME": "/", "QEMU_CPU": "cortex-a72", "KPI_REACH_STORE": "", "TMPDIR": ""}
    shell, system = (
        ["--shell", f"{shutil.which('chroot')} /mnt /system/bin/sh"],
        shown(android, "/mnt", root / "etc/cpuinfo"),
    )
    with phone(Path(tempfile.mkdtemp(dir=folder)), folder / "there", *shell, shown=system, **told) as board:
        return judge(folder, board, f"adb:{board.serial}", ["--python", str(archive)], options)


def judge(folder: Path, board: Board, way: str, setup: list[str], options: list[str]) -> int:
    """The three commands of docs/boards.md."""
    variables = {
        **os.environ,
        **board.environment,
        "KPI_STORE": str(folder / "store"),
        "PYTHONPATH": str(ROOT),
    }
    kpi = [sys.executable, "-m", "harness.cli.main", "reach"]
    reach = [f"{machine}={way}" for machine in ("edge", "any-arm")]
    for command in (["setup", reach[1], *setup], ["doctor", reach[1]]):
        if subprocess.run([*kpi, *command], env=variables, cwd=folder, check=False).returncode:
            return 1
    out = folder / "evidence"
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "--pyargs",
        "kpi_tests",
        "-p",
        "harness.pytest_plugin",
        f"--kpi-out={out}",
        "--kpi-install",
        *options,
    ]
    asked = [f"--kpi-reach={where}" for where in reach]
    return subprocess.run([*pytest, *asked], env=variables, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
