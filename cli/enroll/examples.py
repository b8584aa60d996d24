"""Examples in the help of commands, by command. tests/cli/test_help.py checks that each of them parses."""

EXAMPLES = {
    "": (
        "enroll catalog --event forms.submitted",
        "enroll flows check flows/",
        "enroll explain --portal demo --record contact/101",
    ),
    "adopt": ("enroll adopt --stack enroll", "enroll adopt --flows-table enroll-FlowsTable-1A2B3C"),
    "catalog": (
        "enroll catalog",
        "enroll catalog --category forms",
        "enroll catalog --event forms.submitted --property hs_form_id",
    ),
    "console": (
        "enroll console --stack enroll --portal demo",
        "enroll console --read-only --no-browser",
        "enroll console --port 0 --no-browser --json",
    ),
    "doctor": (
        "enroll doctor",
        "enroll doctor --no-events --json",
        "enroll doctor --check-update --parameter CrmDelivery=buffered",
    ),
    "env": ("enroll env", "enroll env --port 5566 --json"),
    "explain": (
        "enroll explain --portal demo --record contact/101",
        "enroll explain --portal demo --record contact/101 --flow 1001 --details",
    ),
    "flows": ("enroll flows list --portal demo", "enroll flows put flows/ --portal demo"),
    "flows relist": ("enroll flows relist --portal demo --dry-run", "enroll flows relist --portal demo"),
    "flows backfills": (
        "enroll flows backfills 1022 --portal demo",
        "enroll flows backfills 1022 pause --portal demo",
    ),
    "flows check": ("enroll flows check flows/welcome.json", "enroll flows check flows/ --json"),
    "flows delete": ("enroll flows delete 1001 --portal demo",),
    "flows diff": (
        "enroll flows diff flows/ --portal demo --exit-code",
        "enroll flows diff welcome.json --portal demo --json",
    ),
    "flows enroll": (
        "enroll flows enroll 1001 contact/101 --portal demo",
        "enroll flows enroll 1001 --file contacts.csv --portal demo",
    ),
    "flows impact": (
        "enroll flows impact draft.json --portal demo",
        "enroll flows impact draft.json --portal demo --last 2w --json",
    ),
    "flows list": ("enroll flows list --portal demo", "enroll flows list --portal demo | cut -f1"),
    "flows off": ("enroll flows off 1001 --portal demo",),
    "flows on": ("enroll flows on 1001 --portal demo", "enroll flows on 1022 --enroll-existing --portal demo"),
    "flows preview": ("enroll flows preview draft.json --portal demo --limit 500",),
    "flows pull": ("enroll flows pull flows/ --portal demo",),
    "flows put": ("enroll flows put flows/ --portal demo", "enroll flows put flows/ --portal demo --strict"),
    "flows show": ("enroll flows show 1001 --portal demo", "enroll flows show 1001 --portal demo --json > 1001.json"),
    "flows test": ("enroll flows test 1001 contact/101 --portal demo",),
    "invoke": ("enroll invoke forms --event events/forms/submitted.json",),
    "local": ("enroll local run",),
    "local run": (
        "enroll local run --once",
        "enroll local run --once --json",
        "enroll local run --data .enroll/data --no-demo",
    ),
    "portal": ("enroll portal show --portal demo",),
    "portal set": (
        "enroll portal set --portal demo --time-zone Europe/Dublin",
        "enroll portal set --portal demo --allow-source acme.forms --allow-source acme.crm",
    ),
    "portal show": ("enroll portal show --portal demo",),
    "queue": ("enroll queue list", "enroll queue redrive --flow 1001"),
    "queue discard": (
        "enroll queue discard --enrollment 01KAV3W8ZJ6W5R5Y0Q3S1N7T9D --keep discarded.jsonl",
        "enroll queue discard --yes --json",
    ),
    "queue list": ("enroll queue list", "enroll queue list --flow 1001 --json"),
    "queue receive": ("enroll queue receive --no-delete --limit 5", "enroll queue receive --yes --json"),
    "queue redrive": (
        "enroll queue redrive --enrollment 01KAV3W8ZJ6W5R5Y0Q3S1N7T9D",
        "enroll queue redrive --flow 1001 --rate 10 --json",
    ),
    "records": ("enroll records show contact/101 --portal demo",),
    "records import": (
        "enroll records import contacts.csv --portal demo",
        "enroll records import deals.jsonl --portal demo --type deal --id-column dealId",
    ),
    "records index": ("enroll records index --stack enroll", "enroll records index --rate 200 --json"),
    "records show": (
        "enroll records show contact/101 --portal demo",
        "enroll records show 0-1/101 --portal demo --utc",
    ),
    "replay": (
        "enroll replay --portal demo --from 2026-11-23T10:00:00Z --flow 1001 --dry-run",
        "enroll replay --portal demo --from 2026-11-23T10:00:00Z --event-type forms.submitted",
    ),
    "event": ("enroll event submission-8123 --portal demo", "enroll event submission-8123 --portal demo --json"),
    "trigger": (
        "enroll trigger forms.submitted hs_form_id=f-1 --portal demo --record contact/101 --wait",
        "enroll trigger crm.property_changed hs_name=city hs_value=Cork --portal demo --record contact/101 --print",
    ),
    "send": (
        "enroll send events/forms/submitted.json --now",
        "enroll send events/forms/submitted.json --now --new-id --portal demo --wait",
        "enroll send events/forms/submitted.json --new-id --json",
    ),
    "simulate": (
        "enroll simulate events/forms/submitted.json --portal demo --now",
        "enroll simulate events/forms/submitted.json --portal demo --flow draft.json --details",
        "enroll simulate --manual contact/101 --in-flow 1001 --portal demo",
    ),
    "tail": (
        "enroll tail --portal demo",
        "enroll tail --portal demo --record contact/101 --code NOT_MATCHED --timeout 60s --json",
        "enroll tail --portal demo --enrollments --flow 1001",
    ),
    "unprocessed": ("enroll unprocessed list", "enroll unprocessed redrive --dry-run"),
    "unprocessed discard": ("enroll unprocessed discard --reason WRONG_TYPE --keep discarded.jsonl",),
    "unprocessed list": (
        "enroll unprocessed list --reason WRONG_TYPE",
        "enroll unprocessed list --since 2026-11-23T10:00:00Z --json",
    ),
    "unprocessed redrive": (
        "enroll unprocessed redrive --dry-run",
        "enroll unprocessed redrive --portal demo --rate 10",
    ),
    "unprocessed show": ("enroll unprocessed show 8f14e45f --json",),
}
