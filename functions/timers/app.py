from enrollment.entrypoints.timer_handler import timer_handler

handler = timer_handler()
