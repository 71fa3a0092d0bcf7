from dataclasses import replace

import pandas as pd
from lmcompare.report.sections._former_section import Section

from lmcompare.report.markdown import Table

TABLE = Table("t", ["a"], [["1"]], pd.DataFrame({"a": [1]}))


def test_what_is_folded_is_all_or_the_table() -> None:
    block = Section("x", "Title", "How to read it.", b"png", "what is seen", TABLE)
    picture, table = "![what is seen](figures/x.png)", "| a |\n| ---: |\n| 1 |"
    assert block.markdown == f"**Title.** How to read it.\n\n{picture}\n\n{table}"
    folded = f"<details>\n<summary>Title: the numbers</summary>\n\n{table}\n\n</details>"
    assert (
        replace(block, folded="table").markdown
        == f"**Title.** How to read it.\n\n{picture}\n\n{folded}"
    )
    whole = replace(block, folded="all").markdown
    assert (
        whole.startswith("<details>\n<summary>Title</summary>\n\nHow to read it.\n\n![")
        and whole.count("<det") == 1
    )
