from enrollment.entrypoints.event_handlers import unconfirmed_handler

handler = unconfirmed_handler()
