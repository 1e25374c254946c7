"""The base image: pulled from its registry, or a stand-in where none can be reached."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
from typing import Final

from tests.container.engine import Engine
from tests.container.tools import BOUND_WITH_ITS_OWN, ROOT, run

#: Debian's release that the stand-in is of, with the oldest Python that kvnode runs on.
_RELEASE: Final = "bookworm"
_PACKAGES: Final = "python3-minimal,python3-venv,passwd,libstdc++6"

#: What nobody looks at in a test, and half of the files.
_LEFT_OUT: Final = (
    *("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*"),
    "/usr/lib/python3*/EXTERNALLY-MANAGED",  # Python's own image lets pip do as it likes
)

#: What Debian calls otherwise than Python's own image, and a pip where that has it: a venv's, since
#: Debian's own Python has another.
_AS_IN_THE_ORIGINAL: Final = """
mkdir -p "$1/etc/ssl/certs"
ln -s ../../bin/python3 "$1/usr/local/bin/python"
chroot "$1" python3 -m venv /pip
mv "$1"/pip/lib/python3*/site-packages/pip* "$1"/usr/local/lib/python3*/dist-packages/
rm -r "$1/pip"
"""

#: pip's settings without which it would not find its index from in there.
_PIP_SETTINGS: Final = ("index-url", "extra-index-url", "trusted-host", "proxy")
_CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"


def base_image() -> str:
    """What the Dockerfile builds on, unless told otherwise."""
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", (ROOT / "Dockerfile").read_text(), re.M))
    image = re.sub(r"\$\{(\w+)\}", lambda it: arguments[it[1]], arguments["BASE_IMAGE"])
    assert "$" not in image
    return image


def provide_base(engine: Engine) -> None:
    """See that the engine has the base image, or what stands for it."""
    if engine.docker("pull", "--quiet", base_image(), may_fail=True).returncode:
        make_stand_in(engine)


def make_stand_in(engine: Engine) -> None:
    """Make what stands for the base image, of Debian's packages."""
    archive = engine.directory / "base.tar"
    hooks = [f"set -e{_AS_IN_THE_ORIGINAL}", f"upload {_certificates()} {_CERTIFICATES}"]
    run(
        *(*BOUND_WITH_ITS_OWN, "mmdebstrap", "--quiet", "--mode=root"),
        *("--variant=essential", f"--include={_PACKAGES}"),
        *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
        *(f"--customize-hook={hook}" for hook in hooks),
        *(_RELEASE, str(archive)),
        environment=engine.environment,
    )
    settings = {"PIP_CERT": _CERTIFICATES, **_pip_settings()}
    changes = [f"--change=ENV {name}={value}" for name, value in settings.items()]
    engine.docker("import", *changes, str(archive), base_image())
    archive.unlink()


def _certificates() -> str:
    """Those that this machine trusts."""
    named = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return named or _CERTIFICATES


def _pip_settings() -> dict[str, str]:
    """How pip finds its index on this machine, as variables."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    settings = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        setting = name.rpartition(".")[2]
        if setting in _PIP_SETTINGS:
            urls = [it for it in value.strip("'").split() if not it.startswith("file:")]
            if urls:
                settings[f"PIP_{setting.replace('-', '_').upper()}"] = f'"{" ".join(urls)}"'
    return settings
