"""The Markdown page: sections of tables whose first column of figures is Trunkline's, and ratios beside it."""

import os
import platform
import shlex
import sys
import time


class Section:
    """A heading, words on how to read it, tables, and what was skipped."""

    def __init__(self, title, words):
        self.title = title
        self.words = words
        self.tables = []
        self.notes = []

    def table(self, headings, rows):
        self.tables.append((headings, rows))

    def note(self, words):
        self.notes.append(words)


class Rate:
    """Records a second, with what each cost the server's CPU."""

    def __init__(self, per_s, cpu_us=None):
        self.per_s = per_s
        self.cpu_us = cpu_us

    def __str__(self):
        cpu = f" ({self.cpu_us:.2f} us)" if self.cpu_us is not None else ""
        return f"{short(self.per_s)}/s{cpu}"


def best(rates):
    """The fastest of several: noise only ever slows."""
    return max(rates, key=lambda rate: rate.per_s)


def beside(work, ours, originals):
    """A row: what was done, ours, and each original with our ratio to it."""
    cells = [work, str(ours) if ours else "-"]
    for original in originals:
        if ours and original and original.per_s:
            cells.append(f"{original} -> **{ours.per_s / original.per_s:.2f}**")
        else:
            cells.append(str(original) if original else "-")
    return cells


def short(number):
    """1,234,567 as 1.23M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def size(number):
    """Bytes in the unit that reads best."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(number) >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number:.0f} B"


class Page:
    """All sections of one run."""

    def __init__(self, args, began_at):
        self.command = f"scripts/{os.path.basename(sys.argv[0])} " + " ".join(shlex.quote(part) for part in sys.argv[1:])
        self.began_at = began_at
        self.parts = []
        self.machine = ""
        self.quick = args.quick

    def note_machine(self, run):
        cores = len(os.sched_getaffinity(0))
        self.machine = f"{platform.machine()}, {cores} cores, Linux {platform.release()}; {run.pins.words()}{run.how_often()}"

    def section(self, section):
        self.parts.append(section)

    def skipped(self, name, why):
        section = Section(name.capitalize(), "")
        section.note(f"Skipped: {why}.")
        self.parts.append(section)

    def failed(self, name, why):
        section = Section(name.capitalize(), "")
        section.note(f"Failed:\n\n```\n{why.strip()}\n```")
        self.parts.append(section)

    def text(self):
        day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.began_at))
        lines = [f"Run of {day}: `{self.command.strip()}`", "", self.machine + ".", ""]
        if self.quick:
            lines += ["A quick run: it shows that everything works, its figures show nothing else.", ""]
        for section in self.parts:
            lines += [f"### {section.title}", ""]
            if section.words:
                lines += [section.words, ""]
            for headings, rows in section.tables:
                lines.append("| " + " | ".join(headings) + " |")
                lines.append("|" + "---|" * len(headings))
                lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
                lines.append("")
            for note in section.notes:
                lines += [note, ""]
        return "\n".join(lines)
