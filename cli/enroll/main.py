"""`enroll`: the operator's command line.

Exit codes: 0 done, 1 failed, 2 what was given is wrong, 3 the stack is not reached, 4 not found, 5 conflict.
"""

import typer

from enroll.commands import flows, portal, queue, records, unprocessed
from enroll.commands.adopt import adopt
from enroll.commands.catalog import catalog
from enroll.commands.doctor import doctor
from enroll.commands.explain import explain
from enroll.commands.invoke import invoke_command
from enroll.commands.replay import replay
from enroll.commands.send import send
from enroll.commands.simulate import simulate
from enroll.commands.tail import tail
from enroll.local import commands as local
from enroll.local.portal import store_portal
from enroll.output import PrintableGroup

app = typer.Typer(
    cls=PrintableGroup,
    help="Event enrollment triggers: write flows, send events, see who is enrolled.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
local.store_portal = store_portal
app.add_typer(flows.app, name="flows")
app.command()(catalog)
app.command()(send)
app.command()(explain)
app.command()(simulate)
app.command()(tail)
app.add_typer(queue.app, name="queue")
app.add_typer(records.app, name="records")
app.add_typer(portal.app, name="portal")
app.add_typer(unprocessed.app, name="unprocessed")
app.command()(replay)
app.command("invoke")(invoke_command)
app.command()(doctor)
app.command()(adopt)
app.add_typer(local.app, name="local")
