from enrollment.entrypoints.run_handler import run_handler

handler = run_handler()
