"""The commands of `enroll`: each is imported when it is used, and its help shows examples.

The help of the whole program imports no command. Therefore the names and the summaries of commands are data in
``enroll.main``; tests/cli/test_help.py compares the summaries with those of the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import Default

from enroll.output import FAILED, NOT_REACHED, errors, fail, printable, report_unexpected, styled

# The end of a line of a shell command that continues on the next line.
CONTINUED = " \\"
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyCommands(MutableMapping[str, Any]):
    """Commands by name, each imported when it is read. ``sources`` has ``module:attribute`` by name."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            module, _, attribute = self._sources[name].partition(":")
            self._loaded[name] = _command(name, getattr(import_module(module), attribute))
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._sources.setdefault(name, "")
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._sources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, name: object) -> bool:
        return name in self._sources


def _command(name: str, source: Any) -> Any:
    """Return the command of a function, or of a group of commands."""
    if not isinstance(source, typer.Typer):
        group = CommandGroup()
        group.command(name)(source)
        source = group
    command = typer.main.get_command(source)
    command.name = name
    return command


class PlainValues:
    """Accepts values that need no conversion. Typer converts all others, for which it imports Pydantic.

    docs/decisions/0021-start-of-commands.md has the reason.
    """

    def __init__(self, typer_conversion: Callable[[], Any], annotation: Any) -> None:
        self._typer_conversion = typer_conversion
        self._annotation = annotation

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        is_several = param.multiple or param.nargs == -1
        if value is None:
            return () if is_several else None
        # A value of the command line is text. A value of another type is the default, which needs no check.
        if not is_several and type(value) is self._annotation:
            return value
        return self._typer_conversion().coerce(value, param=param, ctx=ctx)


class EnrollCommand:
    """What commands and groups have in common: a quick start, and examples in the help (``enroll.examples``)."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            # If a later version of Typer names this method differently, commands start more slowly and still work.
            conversion = getattr(param, "get_runtime_param", None)
            if conversion is not None and "get_runtime_param" not in param.__dict__:
                values = PlainValues(conversion, param.type_descriptor.annotation)
                param.__dict__["get_runtime_param"] = lambda values=values: values
        return params

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from enroll.examples import EXAMPLES

        if examples := EXAMPLES.get(ctx.command_path.partition(" ")[2], ()):
            with formatter.section("Examples"):
                for example in examples:
                    for line in continued(example, formatter.width - formatter.current_indent):
                        formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def continued(command: str, width: int) -> list[str]:
    """Return a shell command in lines of at most ``width``, so that it can be copied. Its words must have no spaces."""
    if len(command) <= width:
        return [command]
    import textwrap

    limit = width - len(CONTINUED)
    lines = textwrap.wrap(command, limit, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return [*(line + CONTINUED for line in lines[:-1]), lines[-1]]


class SingleCommand(EnrollCommand, TyperCommand):
    """A command with a quick start, examples in its help, and options that keep their old names for scripts."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        from enroll.old_options import with_current_names

        command = ctx.command_path.partition(" ")[2]
        arguments: list[str] = super().parse_args(ctx, with_current_names(command, args))
        return arguments


class Group(EnrollCommand, TyperGroup):
    """A group of commands with a quick start, and examples in its help."""


class RootGroup(Group):
    """The root of the commands. It imports a command when it is used, and reports unexpected errors without traceback.

    ``sources`` has ``module:attribute`` and ``summaries`` the first sentence of the help, by the name of the command.
    """

    sources: ClassVar[dict[str, str]]
    summaries: ClassVar[dict[str, str]]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = LazyCommands(dict(self.sources))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().make_context(*arguments, **options)
        except Exception as error:
            if hasattr(error, "format_message"):
                _wrap_usage_error(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if hasattr(error, "format_message"):
                _wrap_usage_error(error)
                raise
            from enroll.api import NotTheApi

            if isinstance(error, NotTheApi):
                fail(error.lines, NOT_REACHED)
            report_unexpected(error)
            raise typer.Exit(FAILED) from error


def _wrap_usage_error(error: Any) -> None:
    """Let a usage error be shown in the width of the terminal. Its message quotes the arguments."""
    ctx = getattr(error, "ctx", None)
    if ctx is None or not error.message or "\n" in error.message:
        # The help that a group shows without arguments has lines of its own.
        error.message = printable(error.message)
        return

    def show(file: Any = None) -> None:
        for line in ctx.get_usage().splitlines():
            errors.print(line, is_wrapped=False)
        errors.print(f"Try '{ctx.command_path} -h' for help.", is_wrapped=False)
        errors.print("")
        errors.print(styled("Error: ", "red"), error.format_message(), sep="")

    error.show = show


class CommandGroup(typer.Typer):
    """A group of commands with plain help, ``-h``, and examples."""

    def __init__(self, help: str = "", cls: type[TyperGroup] = Group, *, add_completion: bool = False) -> None:
        super().__init__(
            help=help or Default(None),
            cls=cls,
            no_args_is_help=True,
            add_completion=add_completion,
            context_settings=CONTEXT_SETTINGS,
            # Plain help appears three times as fast as help in boxes, and can be copied.
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Add a command."""
        return super().command(name, **{"cls": SingleCommand, "context_settings": CONTEXT_SETTINGS, **options})
