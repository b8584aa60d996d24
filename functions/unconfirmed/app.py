from enrollment.handler import unconfirmed_handler

handler = unconfirmed_handler()
