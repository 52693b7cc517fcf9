"""A Linux machine that is made for one run and gone when it is done: a kernel, and what it needs, in its memory.

    apt-get install qemu-system-x86 busybox-static cpio

`Machine` collects the files, makes the archive that the kernel unpacks into memory, and boots it. An emulated CPU is
many times slower than a real one. Only the standard library.
"""
import pathlib
import shutil
import subprocess
import threading


class Machine:
    """Files under `root` are those of the machine; `folder` is a place that the caller removes."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "root"
        for name in ["bin", "dev", "proc", "sys", "tmp", "run"]:
            (self.root / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), self.root / "bin/busybox")

    def program(self, path):
        """A program, with the libraries that it is linked to where it looks for them."""
        shutil.copy(path, self.root / "bin" / pathlib.Path(path).name)
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for library in {word for word in listed.split() if word.startswith("/")}:
            place = self.root / library.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)

    def compiled(self, source):
        """A C program, which needs no library there."""
        name = pathlib.Path(source).stem
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-static", "-o", self.root / "bin" / name, source], check=True)

    def modules(self, package, names):
        """Modules of an unpacked kernel package, each after those that it needs; what `init` shall give to insmod."""
        files = {path.name.split(".ko")[0].replace("-", "_"): path for path in pathlib.Path(package).rglob("*.ko*")}
        order = []

        def add(name):
            if name not in files:
                raise SystemExit(f"{package} has no module {name}: another kernel package is needed")
            if files[name] in order:
                return
            for needed in needs(files[name]):
                add(needed)
            order.append(files[name])

        for name in names:
            add(name)
        (self.root / "modules").mkdir()
        for path in order:
            (self.root / "modules" / path.name.removesuffix(".xz")).write_bytes(image(path))
        return ["/modules/" + path.name.removesuffix(".xz") for path in order]

    def archive(self, init):
        """The machine's file system, in which `init` is started."""
        place = self.root / "init"
        place.write_text(init)
        place.chmod(0o755)
        names = "\n".join(str(path.relative_to(self.root)) for path in self.root.rglob("*"))
        archive = self.folder / "root.cpio"
        with archive.open("wb") as file:
            command = ["cpio", "-o", "-H", "newc", "--quiet"]
            subprocess.run(command, input=names.encode(), stdout=file, cwd=self.root, check=True)
        return archive


def boot(kernel, archive, append, options, timeout, heard=lambda line: None):
    """What the machine writes until it is off; `heard` is told each line as it comes. `timeout` is in seconds."""
    command = ["qemu-system-x86_64", "-kernel", str(kernel), "-initrd", str(archive), "-nographic", "-no-reboot", "-nic", "none"]
    command += ["-append", f"console=ttyS0 quiet panic=-1 {append}", *options]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        end = threading.Timer(timeout, process.kill)
        end.start()
        lines = []
        for line in process.stdout:
            lines.append(line)
            heard(line.rstrip())
        end.cancel()
    return "".join(lines)


def image(path):
    """A module as the kernel takes it."""
    if path.suffix != ".xz":
        return path.read_bytes()
    import lzma

    return lzma.decompress(path.read_bytes())


def needs(path):
    """The names of the modules that a module says it needs."""
    for entry in image(path).split(b"\0"):
        if entry.startswith(b"depends="):
            return [name for name in entry[8:].decode().replace("-", "_").split(",") if name]
    return []
