"""`enroll local …`. The local run does not import the API client, so this module gives it the function that uses it."""

from enroll.local import commands
from enroll.local.portal import store_portal

commands.store_portal = store_portal
app = commands.app
