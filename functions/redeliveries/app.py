from enrollment.handler import redelivery_handler

handler = redelivery_handler()
