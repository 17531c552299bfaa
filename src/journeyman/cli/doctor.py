"""`journeyman doctor`."""

from __future__ import annotations

from dataclasses import asdict

from journeyman.cli.options import AsJson, ProjectFolder
from journeyman.cli.terminal import print_json, print_lines
from journeyman.core.errors import SettingsError
from journeyman.core.settings import open_project


def doctor(project: ProjectFolder = None, is_json: AsJson = False) -> int:
    """Check this machine and this project; each problem comes with its next step. Exit status 1 when there is one.

    Example: journeyman doctor
    """
    from journeyman.flows.states import examine

    try:
        opened = open_project(project)
    except SettingsError as error:
        if error.code != "JM-101":
            raise
        opened = None
    findings = examine(opened)
    is_well = all(finding.is_well for finding in findings)
    if is_json:
        print_json({"is_well": is_well, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            print_lines(f"{'ok ' if finding.is_well else 'NO '} {finding.name}: {finding.found}")
            if not finding.is_well and finding.next:
                print_lines(f"      next: {finding.next}")
    return 0 if is_well else 1
