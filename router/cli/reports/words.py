"""The words of a report in English and Chinese. Names of rules, queues and age bands are the centre's own, in any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from babel.dates import format_date
from babel.lists import format_list

from router.cli.reports.spans import Asked
from router.rules.durations import in_words

LANGUAGES: Final = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Words:
    """One language. `says` has its phrases by name; `figures` the names of figures, of which one has `{within}`."""

    language: str
    locale: str
    says: Mapping[str, str]
    figures: Mapping[str, str]
    short: Mapping[str, str]
    sections: Mapping[str, str]
    verdicts: Mapping[str, str]
    reasons: Mapping[str, str]

    def figure(self, name: str, within_s: float, *, short: bool = False) -> str:
        """What a figure is called; `short` for the heads of columns."""
        return (self.short if short else self.figures)[name].replace("{within}", in_words(within_s))

    def reason(self, name: str) -> str:
        """A reason for a fallback, or for an age band that is not known; what is new stands as it is."""
        return self.reasons.get(name, name)

    def names(self, names: tuple[str, ...]) -> str:
        """Several names as one phrase."""
        return format_list(names, locale=self.locale) if names else ""

    def span(self, asked: Asked) -> str:
        """The span asked for."""
        begin, end = asked.span.begin, asked.span.end
        if asked.kind == "day":
            return format_date(begin, "full", locale=self.locale)
        if asked.kind == "today":
            return self.says["today"].format(day=format_date(begin, "full", locale=self.locale), time=f"{end:%H:%M}")
        return f"{self._moment(begin)} – {self._last(begin, end)}"

    def before(self, asked: Asked) -> str:
        """The span before."""
        begin, end = asked.before.begin, asked.before.end
        if asked.kind == "day":
            return format_date(begin, "full", locale=self.locale)
        if asked.kind == "today":
            return self.says["today"].format(day=format_date(begin, "full", locale=self.locale), time=f"{end:%H:%M}")
        return f"{self._moment(begin)} – {self._last(begin, end)}"

    def _moment(self, moment: datetime) -> str:
        day = format_date(moment, "medium", locale=self.locale)
        return day if not (moment.hour or moment.minute or moment.second) else f"{day} {moment:%H:%M}"

    def _last(self, begin: datetime, end: datetime) -> str:
        """The end as people say it: of whole days the last one."""
        if not (begin.hour or begin.minute or begin.second or end.hour or end.minute or end.second):
            return self._moment(end - timedelta(days=1))
        return self._moment(end)


_EN: Final = Words(
    language="en",
    locale="en",
    says={
        "title": "Older callers and people",
        "head_band": "age band",
        "head_hour": "hour",
        "head_day": "day",
        "head_queue": "queue",
        "head_rule": "rule",
        "head_target": "target",
        "narrow_older": "older",
        "narrow_all": "all",
        "narrow_person": "person, no assistant",
        "narrow_chance": "chance",
        "older": "Older callers",
        "older_of": "Older callers ({bands})",
        "headline": "{person} answered by a person without the assistant; {fast} within 15 s",
        "none": "no call of a protected age band was offered or ended in this span",
        "today": "{day}, until {time}",
        "compared": "compared with",
        "not_compared": "nothing to compare with: no call in",
        "promised": "promised: {percent}",
        "all": "All callers",
        "change": "change",
        "before": "before",
        "figure": "figure",
        "calls": "calls",
        "fallback": "Fallback: calls that the dialplan sent to people by itself",
        "unknown": "Unknown callers: age bands that were not known, and why",
        "troubles": "What was wrong with our systems",
        "no_troubles": "nothing is recorded",
        "what": "what",
        "where": "Asterisk",
        "from": "from",
        "to": "to",
        "why": "why",
        "before_span": "before",
        "still": "no end seen",
        "to_know": "To know",
        "unknown_band": "unknown",
        "no_rule": "no rule asked",
        "no_name": "no name",
        "others": "{count} more: --csv has all",
        "chart_hours": "Answered within 15 s, and calls, by hour",
        "chart_waits": "Waits by hour",
        "chart_bands": "By age band",
        "older_short": "older callers",
        "others_short": "others",
        "median": "median",
        "95th": "95th percentile",
        "in_table": "The numbers are in the table by hour.",
        "busiest": "Most calls came from {hour} ({calls}).",
        "worst": "The smallest share of older callers answered within 15 s was from {hour} ({share}).",
        "longest_waits": "The 95th percentile of waits was highest from {hour} ({wait}).",
        "made": "Made {moment} from {journals}, in the time zone {zone}",
        "journals": "{count} journals",
        "note_today": "the day is not over; the day before is counted until the same time",
        "note_under_way": (
            "without an outcome: {count} of {calls} calls, under way or lost; `elder-router journal verify` tells which"
        ),
        "note_unseen": "end not seen, as the router was away: {count}; such calls are in no share",
        "note_no_rules": "the rules are not to be had, so that hours are in UTC; name them with --rules",
        "note_protected": (
            "the rules protected other age bands when some of these calls were decided; "
            "older callers are those whose band was protected then"
        ),
        "note_begins": "the journal begins {moment}: what was before is in no figure, nor in what changed",
        "note_left_out": "not read, as nothing of these spans is in them: {count} journals",
        "what_is": "What the figures are",
        "definitions": (
            "Offered: callers who wanted, or were sent to, a person. Within 15 s and service level are shares of the "
            "offered, abandoned calls included. By a person without the assistant is of all calls whose end was seen. "
            "Waits are from first joining a queue; median and 95th percentile are of answered calls. By queue, offered "
            "calls alone are counted. “Within chance” marks a difference of shares that may be none (95 %). – stands "
            "for a share of nothing. docs/figures.md says it in full."
        ),
    },
    figures={
        "calls": "calls",
        "offered": "offered",
        "answered": "answered",
        "without_assistant": "by a person, without the assistant",
        "answered_within_15s": "answered within 15 s",
        "service_level": "service level, {within}",
        "wait_median_s": "wait, median",
        "wait_95th_s": "wait, 95th percentile",
        "wait_longest_s": "wait, longest",
        "abandoned": "abandoned",
        "abandon_rate": "abandon rate",
        "abandoned_short": "abandoned within 5 s",
        "self_served": "self-served",
        "hung_up_early": "hung up early",
        "fallback": "fallback",
        "under_way": "under way",
        "unseen": "end not seen",
    },
    short={
        "calls": "calls",
        "without_assistant": "person",
        "answered_within_15s": "≤ 15 s",
        "service_level": "≤ {within}",
        "abandon_rate": "aband.",
        "wait_median_s": "median",
        "wait_95th_s": "95th",
        "wait_longest_s": "longest",
    },
    sections={
        "band": "By age band",
        "hour": "By hour",
        "day": "By day",
        "queue": "By queue",
        "rule": "By rule",
        "target": "By target",
    },
    verdicts={
        "better": "better",
        "worse": "worse",
        "more": "more",
        "fewer": "fewer",
        "longer": "longer",
        "shorter": "shorter",
        "chance": "within chance",
        "same": "the same",
    },
    reasons={
        "heartbeat": "the router had not been heard of for 3 s (heartbeat)",
        "deadline": "the router did not answer in time (deadline)",
        "no-such-context": "the rules name a context that the dialplan does not have (no-such-context)",
        "unknown": "not in the registry",
        "no_number": "no number",
        "lookup_failed": "the lookup failed",
        "not_asked": "not asked",
    },
)
_ZH: Final = Words(
    language="zh",
    locale="zh_CN",
    says={
        "title": "老年来电与人工接听",
        "head_band": "年龄段",
        "head_hour": "小时",
        "head_day": "日期",
        "head_queue": "队列",
        "head_rule": "规则",
        "head_target": "目标",
        "narrow_older": "老年",
        "narrow_all": "全部",
        "narrow_person": "人工直接接听",
        "narrow_chance": "偶然",
        "older": "老年来电",
        "older_of": "老年来电（{bands}）",
        "headline": "{person} 未经语音助手、由人工接听；{fast} 在 15 秒内接听",
        "none": "此时段内没有受保护年龄段的来电结束或转人工",
        "today": "{day}，截至 {time}",
        "compared": "对比",
        "not_compared": "无可对比：以下时段没有来电",
        "promised": "承诺：{percent}",
        "all": "全部来电",
        "change": "变化",
        "before": "此前",
        "figure": "指标",
        "calls": "来电",
        "fallback": "回退：拨号方案自行转人工的来电",
        "unknown": "未知来电：年龄段未知及原因",
        "troubles": "系统故障",
        "no_troubles": "没有记录",
        "what": "故障",
        "where": "Asterisk",
        "from": "开始",
        "to": "结束",
        "why": "原因",
        "before_span": "此前",
        "still": "未见结束",
        "to_know": "须知",
        "unknown_band": "未知",
        "no_rule": "未经规则",
        "no_name": "无名称",
        "others": "另有 {count} 项：见 --csv",
        "chart_hours": "每小时 15 秒内接听率与来电数",
        "chart_waits": "每小时等待时间",
        "chart_bands": "按年龄段",
        "older_short": "老年来电",
        "others_short": "其他来电",
        "median": "中位数",
        "95th": "第 95 百分位",
        "in_table": "数字见“按小时”表。",
        "busiest": "来电最多的时段从 {hour} 开始（{calls} 通）。",
        "worst": "老年来电 15 秒内接听率最低的时段从 {hour} 开始（{share}）。",
        "longest_waits": "等待时间第 95 百分位最高的时段从 {hour} 开始（{wait}）。",
        "made": "{moment} 根据 {journals} 生成，时区 {zone}",
        "journals": "{count} 个日志文件",
        "note_today": "当日尚未结束；前一日统计至同一时刻",
        "note_under_way": "{calls} 通来电中 {count} 通没有结果：进行中或已丢失；`elder-router journal verify` 可查明",
        "note_unseen": "路由器离线期间未见结束的来电：{count} 通，不计入任何比率",
        "note_no_rules": "读不到规则，时间按 UTC；请用 --rules 指明",
        "note_protected": "部分来电发生时，规则所保护的年龄段与现在不同；“老年来电”按当时的规则统计",
        "note_begins": "日志自 {moment} 开始：此前的来电不计入任何指标，也不计入变化",
        "note_left_out": "未读取的日志文件（不含此时段）：{count} 个",
        "what_is": "指标说明",
        "definitions": (
            "转人工：要求或被转接人工的来电。15 秒内接听率与服务水平以全部转人工来电（含放弃）为分母。"
            "“未经语音助手由人工接听”以所有看到结束的来电为分母。等待时间自首次进入队列起计；中位数与第 95 百分位"
            "只计已接听来电。按队列只计转人工来电。“偶然范围内”表示两个比率的差异可能并不存在（95 %）。"
            "– 表示没有可计算的来电。完整定义见 docs/figures.md。"
        ),
    },
    figures={
        "calls": "来电",
        "offered": "转人工",
        "answered": "已接听",
        "without_assistant": "未经语音助手，由人工接听",
        "answered_within_15s": "15 秒内接听率",
        "service_level": "服务水平（{within}）",
        "wait_median_s": "等待，中位数",
        "wait_95th_s": "等待，第 95 百分位",
        "wait_longest_s": "等待，最长",
        "abandoned": "放弃",
        "abandon_rate": "放弃率",
        "abandoned_short": "5 秒内放弃",
        "self_served": "自助完成",
        "hung_up_early": "提前挂机",
        "fallback": "回退",
        "under_way": "进行中",
        "unseen": "未见结束",
    },
    short={
        "calls": "来电",
        "without_assistant": "人工直接接听",
        "answered_within_15s": "≤ 15 s",
        "service_level": "≤ {within}",
        "abandon_rate": "放弃率",
        "wait_median_s": "中位数",
        "wait_95th_s": "95%",
        "wait_longest_s": "最长",
    },
    sections={
        "band": "按年龄段",
        "hour": "按小时",
        "day": "按日",
        "queue": "按队列",
        "rule": "按规则",
        "target": "按目标",
    },
    verdicts={
        "better": "改善",
        "worse": "变差",
        "more": "增加",
        "fewer": "减少",
        "longer": "延长",
        "shorter": "缩短",
        "chance": "偶然范围内",
        "same": "不变",
    },
    reasons={
        "heartbeat": "路由器心跳超过 3 秒未更新（heartbeat）",
        "deadline": "路由器未及时应答（deadline）",
        "no-such-context": "规则中的 context 在拨号方案中不存在（no-such-context）",
        "unknown": "不在登记库中",
        "no_number": "无号码",
        "lookup_failed": "查询失败",
        "not_asked": "未查询",
    },
)
_ALL: Final = {"en": _EN, "zh": _ZH}


def words_in(language: str) -> Words:
    """The words of one of `LANGUAGES`."""
    return _ALL[language]
