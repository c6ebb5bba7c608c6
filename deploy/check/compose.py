"""Checks what no schema knows of a compose file: the shell scripts inside it, and who sees which secret.

    python3 compose.py SHELLCHECK compose.yaml
"""

import subprocess
import sys

import yaml


def lint(shellcheck: str, name: str, script: str) -> None:
    """Shellchecks a script that compose hands to bash; `$$` is its way to write `$`."""
    text = "#!/usr/bin/env bash\n" + script.replace("$$", "$")
    done = subprocess.run([shellcheck, "-"], input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"the script of service {name}:\n{done.stdout}")


def main(shellcheck: str, path: str) -> None:
    with open(path, encoding="utf-8") as file:
        services = yaml.safe_load(file)["services"]
    for name, service in services.items():
        if service.get("entrypoint", [""])[0] == "bash":
            lint(shellcheck, name, service["command"][0])
        if "healthcheck" in service:
            lint(shellcheck, name, service["healthcheck"]["test"][3])
        if name != "init" and not service["stop_grace_period"] == "75s":
            sys.exit(f"service {name} is killed before it has drained")
    if services["worker"]["deploy"]["replicas"] != 2:
        sys.exit("two workers are promised")
    if any("state:" in str(volume) for volume in services["worker"]["volumes"]):
        sys.exit("a worker sees the coordinator's keys")


if __name__ == "__main__":
    main(*sys.argv[1:])
