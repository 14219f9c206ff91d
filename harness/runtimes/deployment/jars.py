"""`python -m harness.runtimes.deployment.jars`: fetch Kafka's jars through Maven, once.

They are kept in the user's cache, or in the folder that `WDM_KAFKA_JARS` names.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.runtimes.deployment.registry import expanded, user_folder
from protocols.errors import UsageError

VERSION = "3.9.1"
FOLDER = "WDM_KAFKA_JARS"
COMMAND = "python -m harness.runtimes.deployment.jars"
PROJECT = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>wdm</groupId>
  <artifactId>kafka-broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def folder() -> Path:
    """Return the folder of the jars, fetched or not: below the user's cache, or below `user_folder` without a home."""
    named = os.environ.get(FOLDER)
    if named:
        return Path(named)
    try:
        return expanded(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "wdm" / f"kafka-{VERSION}"
    except UsageError:
        return user_folder() / f"kafka-{VERSION}"


def fetched() -> bool:
    """Return whether the jars are on this machine."""
    return (folder() / f"kafka_2.13-{VERSION}.jar").is_file()


def fetch() -> None:
    """Fetch all jars, or none. Raises `OSError`, or `CalledProcessError` after Maven has printed the reason."""
    final = folder()
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent) as work:
        project, jars = Path(work) / "pom.xml", Path(work) / "jars"
        project.write_text(PROJECT)
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        subprocess.run(["mvn", "--quiet", "--batch-mode", "--file", project, *goal], check=True)  # noqa: S607
        jars.rename(final)


def main() -> int:
    """Fetch the jars unless they are here, and print their folder. Return an exit code: 0, or 4 if they cannot be fetched."""
    if not fetched():
        try:
            fetch()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"error: Kafka's jars could not be fetched: {error}", file=sys.stderr)
            return 4
    print(folder())
    return 0


if __name__ == "__main__":
    sys.exit(main())
