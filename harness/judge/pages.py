"""The grade sheet as a page and as JUnit XML."""

from xml.etree.ElementTree import Element, SubElement, tostring

from harness.judge.defects import DEFECTS
from harness.judge.sheet import Sheet
from harness.report.html.page import environment
from harness.report.junit import printable


def page(sheet: Sheet) -> str:
    """Return the sheet as one file of HTML."""
    return environment().get_template("judge.html.j2").render(sheet=sheet, defects=DEFECTS)


def junit(sheet: Sheet) -> bytes:
    """Return the sheet as JUnit XML."""
    return bytes(tostring(suite_of(sheet), encoding="utf-8", xml_declaration=True))


def suite_of(sheet: Sheet) -> Element:
    """Return a test suite with a test case for each part: a failed one is a failure, an inconclusive one an error."""
    standings = [grade.standing for grade in sheet.grades]
    suite = Element(
        "testsuite",
        name=printable(f"wdm judge {sheet.name}"),
        tests=str(len(standings)),
        failures=str(standings.count("failed")),
        errors=str(standings.count("inconclusive")),
        skipped=str(standings.count("not examined")),
        time=str(sheet.took_s),
    )
    for grade in sheet.grades:
        case = SubElement(suite, "testcase", classname=printable(sheet.name), name=grade.part)
        reasons = printable("\n".join(grade.reasons))
        if grade.standing == "failed":
            explained = "\n\n".join(f"{finding.defect}: {finding.explanation}" for finding in grade.findings)
            names = ", ".join(finding.defect for finding in grade.findings)
            SubElement(case, "failure", message=printable(names)).text = printable(explained)
        elif grade.standing == "inconclusive":
            SubElement(case, "error", message="inconclusive").text = reasons
        elif grade.standing == "not examined":
            SubElement(case, "skipped", message=reasons)
    return suite
