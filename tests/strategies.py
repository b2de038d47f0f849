"""What people and spreadsheets send, good and damaged, for hypothesis."""

from __future__ import annotations

from datetime import date

from hypothesis import strategies as st

from system.synthetic import check_digit

DIVISIONS = ("110101", "420106", "440103", "350102", "650102", "310115", "540102")
_RARE = "\U00020bb7\U0002a6d6\U00020000\U0002b81d㐀㛃䶮龘堃"
_COMMON = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
    "苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史"
    "顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)


@st.composite
def id_numbers(draw: st.DrawFn, first: date = date(1960, 1, 1), last: date = date(2012, 12, 31)) -> str:
    """A synthetic number with a valid checksum."""
    born = draw(st.dates(first, last))
    head = f"{draw(st.sampled_from(DIVISIONS))}{born:%Y%m%d}{draw(st.integers(0, 999)):03d}"
    return head + check_digit(head)


@st.composite
def spelt(draw: st.DrawFn, number: str) -> str:
    """The same number as people type it: small x, full-width digits, blanks."""
    text = number.lower() if draw(st.booleans()) else number
    if draw(st.booleans()):
        text = "".join(chr(ord(one) + 0xFEE0) for one in text)
    at = draw(st.integers(0, len(text)))
    return (
        draw(st.sampled_from(("", " ", "\t", "　")))
        + text[:at]
        + draw(st.sampled_from(("", " ")))
        + text[at:]
    )


@st.composite
def damaged(draw: st.DrawFn, number: str) -> str:
    """A number with one character changed, lost, doubled or swapped.

    Sometimes it has another number's birth date.
    """
    at = draw(st.integers(0, 16))
    other = draw(st.sampled_from("0123456789X"))
    return draw(
        st.sampled_from(
            (
                number[:at] + other + number[at + 1 :],
                number[:at] + number[at + 1 :],
                number[:at] + number[at] + number[at:],
                number[:at] + number[at + 1] + number[at] + number[at + 2 :],
                f"{float(number[:17]):.5E}",
                number[:15],
            )
        )
    )


names = st.one_of(
    st.text(_COMMON, min_size=2, max_size=4),
    st.builds(lambda a, b: a + b, st.sampled_from(_COMMON), st.text(_COMMON + _RARE, min_size=1, max_size=2)),
    st.builds(
        "{}·{}".format,
        st.text(_COMMON + _RARE, min_size=2, max_size=5),
        st.text(_COMMON, min_size=2, max_size=6),
    ),
)
"""Names of people: common ones, rare characters beyond the basic plane, minority names with a middle dot."""
dotted = st.sampled_from("·•‧∙⋅・･．")
"""What keyboards give for the middle dot."""
not_names = st.one_of(
    st.sampled_from(
        (
            "",
            " ",
            "张3",
            "张三1",
            "=1+1",
            "<b>",
            "张\x00三",
            "张\ue123",
            "张三(大)",
            "12345",
            "张😀",
            "x" * 60,
        )
    ),
    st.text("0123456789=<>@#", min_size=1, max_size=5),
)
"""What stands in the column of names and is not a name."""
cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**18),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.dates(date(1950, 1, 1), date(2035, 1, 1)),
    st.text(max_size=30),
    st.sampled_from(
        ("示例", "姓名", "身份证号码", "=1+1", "2019-13", "2019-02-30", "#REF!", "书记", "组织委员")
    ),
)
"""Anything a cell may hold."""
