"""`enroll`"""

import typer

from enroll.local import commands as local
from enroll.local.portal import store_portal

app = typer.Typer(help="Event enrollment triggers.", no_args_is_help=True)
local.store_portal = store_portal
app.add_typer(local.app, name="local")
