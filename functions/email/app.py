from enrollment.entrypoints.event_handlers import handler_for

handler = handler_for("email")
