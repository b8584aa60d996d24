from enrollment.entrypoints.event_handlers import redelivery_handler

handler = redelivery_handler()
