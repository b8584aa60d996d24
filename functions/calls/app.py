from enrollment.handler import handler_for

handler = handler_for("calls")
