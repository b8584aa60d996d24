"""Write what template.yaml and functions/ repeat for every category of ``enrollment.catalog.CATEGORIES``.

Usage: python templates/write_categories.py (`make categories`)

The template stays a file that can be read and deployed as it is: each block that is repeated for every category stands
between the comments ``# <categories NAME>`` and ``# </categories>``. Edit such a block here, in BLOCKS, and run
`make categories`. A test compares the committed files with what this script writes.
"""

import re
from pathlib import Path

from enrollment.catalog import CATEGORIES

ROOT = Path(__file__).parents[1]

# <Logical> stands for the category's name in logical IDs, such as SalesDocuments; <name> for its name in the catalog,
# such as sales_documents.
FUNCTION_CODE = """\
from enrollment.entrypoints.event_handlers import handler_for

handler = handler_for("<name>")
"""

FUNCTION = """\
  <Logical>Function:
    Type: AWS::Serverless::Function
    Metadata:
      SkipBuild: true
    Properties:
      Description: Enrolls by <name> events
      CodeUri: functions/<name>
      ReservedConcurrentExecutions: !If [Reserves<Logical>, !Ref <Logical>Concurrency, !Ref AWS::NoValue]
      Policies:
        - !Ref EnrollingPolicy
      LoggingConfig:
        LogGroup: !Ref <Logical>LogGroup

  <Logical>Route:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: templates/routes/category.yaml
      Parameters:
        Name: !Sub ${AWS::StackName}-<name>
        Category: <name>
        Delivery: !Ref <Logical>Delivery
        Concurrency: !Ref <Logical>Concurrency
        FunctionArn: !GetAtt <Logical>Function.Arn
        FunctionRole: !Ref <Logical>FunctionRole
        EventBusName: !Ref EventBus
        UnprocessedEventsQueueArn: !GetAtt UnprocessedEventsQueue.Arn
        RecordsTableArn: !GetAtt RecordsTable.Arn
        EnrollmentsTableArn: !GetAtt EnrollmentsTable.Arn
        KeyArn: !Ref KeyArn
        AlarmTopicArn: !Ref AlarmTopicArn

  <Logical>LogGroup:
    Type: AWS::Logs::LogGroup
    DeletionPolicy: Delete
    UpdateReplacePolicy: Delete
    Properties:
      LogGroupName: !Sub /enroll/${AWS::StackName}/<name>
      RetentionInDays: !Ref LogRetentionDays
      KmsKeyId: !If [UsesKey, !Ref KeyArn, !Ref AWS::NoValue]

"""

ALARMS = """\
  <Logical>Alarms:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: templates/alarms/function.yaml
      Parameters:
        Name: !Sub ${AWS::StackName}-function-<name>
        FunctionName: !Ref <Logical>Function
        AlarmTopicArn: !Ref AlarmTopicArn

"""

# By the name in the comment: the text that is repeated for each category.
BLOCKS = {
    "concurrency": "  <Logical>Concurrency: {Type: Number, Default: 0, MinValue: 0, MaxValue: 1000}\n",
    "delivery": "  <Logical>Delivery: {Type: String, Default: direct, AllowedValues: [direct, buffered, draining]}\n",
    "conditions": "  Reserves<Logical>: !Not [!Equals [!Ref <Logical>Concurrency, 0]]\n",
    "roles": "              - !GetAtt <Logical>FunctionRole.Arn\n",
    "prefixes": "                - <name>.\n",
    "functions": FUNCTION,
    "log-groups": "        - !Ref <Logical>LogGroup\n",
    "alarms": ALARMS,
}

FUNCTION_NAME = '            \\"${<Logical>Function}\\" OR\n'
BUFFER_NAME = '            \\"${AWS::StackName}-<name>-buffer\\" OR\n'


def logical_name(category: str) -> str:
    """Return the category's name in logical IDs: ``SalesDocuments`` for ``sales_documents``."""
    return "".join(word.capitalize() for word in category.split("_"))


def fill(block: str, category: str) -> str:
    """Return a text of BLOCKS, or FUNCTION_CODE, for one category."""
    return block.replace("<Logical>", logical_name(category)).replace("<name>", category)


def with_categories(template: str) -> str:
    """Return the text of template.yaml with the blocks of every category. Raise KeyError for an unknown block."""

    def filled(match: re.Match[str]) -> str:
        start, name, end = match.groups()
        return start + (_dashboard_names() if name == "dashboard" else _repeated(BLOCKS[name])) + end

    return re.sub(r"(?ms)^( *# <categories ([a-z-]+)>\n).*?^( *# </categories>\n)", filled, template)


def _repeated(block: str) -> str:
    return "".join(fill(block, category) for category in sorted(CATEGORIES))


def _dashboard_names() -> str:
    """Return the names for which the dashboard searches: of all functions, and of the buffers that may exist."""
    functions = _repeated(FUNCTION_NAME) + "".join(
        FUNCTION_NAME.replace("<Logical>", name) for name in ("Redeliveries", "Unconfirmed", "Timers", "Runs", "Api")
    )
    buffers = _repeated(BUFFER_NAME)
    return "".join(
        f"          {key}: !Sub >-\n{names.removesuffix(' OR' + chr(10))}\n"
        for key, names in (("Functions", functions), ("Buffers", buffers))
    )


def function_files() -> dict[Path, str]:
    """Return the code of every category's function, by its file."""
    return {ROOT / "functions" / name / "app.py": fill(FUNCTION_CODE, name) for name in CATEGORIES}


def main() -> None:
    """Write template.yaml and the functions' files."""
    template = ROOT / "template.yaml"
    template.write_text(with_categories(template.read_text(encoding="utf-8")), encoding="utf-8")
    for path, code in function_files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(code, encoding="utf-8")


if __name__ == "__main__":
    main()
