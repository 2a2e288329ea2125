"""`elder-router test`: whether the rules decide what operations expect of them, case by case.

The cases and their evaluation are `router.rules.cases`; this shows what comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.cli.options import CouldNotRunError, cases_for, rules_option
from router.cli.tracing import (
    console_for_answers,
    counted,
    decision_as_plain,
    json_text,
    printable,
    show_table,
    shown_text,
    trace_table,
)
from router.errors import ConfigurationError
from router.rules.book import RuleBook, load_rules
from router.rules.cases import (
    CASES_NAME,
    Case,
    CaseResult,
    CasesReport,
    load_cases,
    rule_lines,
    run_cases,
)

_PASSED, _FAILED = 0, 1


@click.command("test")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, readable=False))
@rules_option
@click.option("--require-coverage", is_flag=True, help="Exit 1 also when a rule is reached by no case.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_context
def test(
    context: click.Context, files: tuple[Path, ...], *, rules_path: Path, require_coverage: bool, as_json: bool
) -> None:
    """Try the rules on the cases in FILES.

    When none is named, they are those that the settings file names, else routing-tests.yaml beside the rules, else
    beside those in force.

    Shows for each case that fails what was expected, what was decided, and why, rule by rule. Exits 0 when all pass,
    1 when one fails, 2 when the rules or a file of cases cannot be used.
    """
    try:
        book = load_rules(rules_path)
        files = files or (cases_for(context, rules_path, None) or rules_path.with_name(CASES_NAME),)
        cases = _cases(files, book)
    except ConfigurationError as error:
        raise CouldNotRunError(str(error)) from error
    report = run_cases(book, cases)
    lines = rule_lines(book) if report.unreached else {}
    unreached = [(name, f"{rules_path}:{lines[name]}") for name in report.unreached]
    if as_json:
        click.echo(json_text(_as_plain(book, report, lines)))
    else:
        _print(console_for_answers(), book, report, files, unreached)
    is_wrong = bool(report.failed) or (require_coverage and bool(unreached))
    context.exit(_FAILED if is_wrong else _PASSED)


def _cases(files: Sequence[Path], book: RuleBook) -> list[Case]:
    """The cases of all files.

    Raises:
        ConfigurationError: A file cannot be used; carries the problems of all.
    """
    every: list[Case] = []
    problems = []
    for path in files:
        cases, wrong = load_cases(path, book)
        every += cases or ()
        problems += wrong
    if problems:
        raise ConfigurationError(problems)
    return every


def _as_plain(book: RuleBook, report: CasesReport, lines: Mapping[str, int]) -> dict[str, object]:
    return {
        "rules_version": book.version,
        "passed": len(report.results) - len(report.failed),
        "failed": len(report.failed),
        "cases": [
            {
                "name": result.case.name,
                "file": result.case.file,
                "line": result.case.line,
                "passed": result.passed,
                "differences": [
                    {"key": difference.key, "expected": difference.expected, "got": difference.got}
                    for difference in result.differences
                ],
                "decision": decision_as_plain(result.decision),
            }
            for result in report.results
        ],
        "rules_not_reached": [{"rule": name, "line": lines[name]} for name in report.unreached],
    }


def _print(
    console: Console, book: RuleBook, report: CasesReport, files: Sequence[Path], unreached: list[tuple[str, str]]
) -> None:
    for result in report.results:
        if result.passed:
            console.print(Text.assemble(("ok      ", "green"), printable(result.case.name)))
        else:
            _print_failed(console, book, result)
    console.print()
    console.print(shown_text(_summary(book, report, files)))
    if unreached:
        console.print()
        console.print("Rules that no case reaches:")
        table = Table.grid(padding=(0, 2))
        for name, place in unreached:
            table.add_row(shown_text(place), shown_text(name))
        show_table(console, table, indent=2)


def _print_failed(console: Console, book: RuleBook, result: CaseResult) -> None:
    case = result.case
    place = printable(f"  {case.file}:{case.line}")
    console.print(Text.assemble(("FAILED  ", "bold red"), printable(case.name), (place, "dim")))
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "expected", "got"):
        table.add_column(title)
    for difference in result.differences:
        table.add_row(difference.key, shown_text(difference.expected, "green"), shown_text(difference.got, "red"))
    show_table(console, table, indent=8)
    console.print()
    show_table(console, trace_table(book, result.decision), indent=8)
    console.print()


def _summary(book: RuleBook, report: CasesReport, files: Sequence[Path]) -> str:
    failed = len(report.failed)
    counts = f"{len(report.results) - failed} passed, {failed} failed"
    rules = f"{len(book.rules) - len(report.unreached)} of {counted(len(book.rules), 'rule')} reached"
    return f"{counted(len(report.results), 'case')} in {', '.join(map(str, files))}: {counts}; {rules}"
