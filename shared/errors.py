"""Every refusal the system knows: a code, an HTTP status, the words for people, and the rule behind it.

Codes are stable. A refusal is something the caller can put right or must know; anything else is a
bug and is logged with its request id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from shared.translations import english


class Kind(NamedTuple):
    """What a code means: HTTP status, sentence (with `{}` fields), rule ID or empty."""

    status: int
    zh: str
    rule: str = ""

    @property
    def en(self) -> str:
        """Return the sentence in English."""
        return english(self.zh)


# A table is read by its columns, so a code stays one line.
# fmt: off
KINDS: dict[str, Kind] = {
    # who is asking
    "sign_in_failed":        Kind(401, "身份证或密码错误", "ACC-10"),
    "token_invalid":         Kind(401, "登录凭证无效,请重新登录"),
    "token_expired":         Kind(401, "登录已过期,请重新登录"),
    "password_change_needed": Kind(403, "首次登录须先修改初始密码", "ACC-05"),
    "password_weak":         Kind(422, "新密码至少8位,且不得与初始密码相同", "ACC-05"),
    "captcha_wrong":         Kind(422, "验证码不正确或已过期,请按新图片重新输入", "ACC-02"),
    "too_many_attempts":     Kind(429, "尝试次数过多,请{minutes}分钟后再试"),
    "not_administrator":     Kind(403, "您不是该组织的管理员", "ROLE-04"),
    "not_your_org":          Kind(403, "该组织不在您的管理范围内", "ROLE-16"),
    "not_offered":           Kind(403, "当前组织不办理这项业务,请从菜单选择,或切换其他组织", "UI-09"),
    "not_your_node":         Kind(403, "当前节点不由您的组织审批", "TRF-21"),
    "audit_by_province":     Kind(403, "只有团中央和省级团委可以查看操作日志", "BEY-10"),
    "not_your_member":       Kind(403, "您无权查看或办理该团员", "SRCH-06"),
    # what was asked
    "bad_request":           Kind(400, "请求格式不正确:{detail}"),
    "too_large":             Kind(413, "请求内容过大(上限{limit})"),
    "header_too_large":      Kind(431, "请求地址和头部过长(上限{limit})"),
    "too_many_items":        Kind(422, "一次最多{limit}项", "BEY-05"),
    "not_found":             Kind(404, "未找到该页面或对象"),
    "method_not_allowed":    Kind(405, "该地址不支持此操作"),
    "unknown_org":           Kind(404, "组织不存在或已删除", "ORG-01"),
    "unknown_transfer":      Kind(404, "未找到该转接业务"),
    "unknown_member":        Kind(404, "姓名与身份证号不匹配或查无此人", "TRF-06"),
    # starting a transfer
    "transfer_open":         Kind(409, "已有业务正在办理,不能重复发起", "TRF-02"),
    "member_elsewhere":      Kind(409, "该团员不在所填转出团支部", "MEM-01"),
    "not_a_branch":          Kind(422, "转出组织必须是团支部", "ORG-04"),
    "same_org":              Kind(422, "转出与转入组织不能相同", "TRF-40"),
    "target_not_allowed":    Kind(422, "转入组织须为团委、团工委、团总支或团支部", "TRF-15"),
    "target_peer":           Kind(422, "北京、广东、福建使用独立系统,对接尚未开通,本次未提交。请保留现有组织关系,不要删除后重新注册;需要办理的,请联系本省省级团委", "FED-01"),
    "mirrored":              Kind(409, "该组织由其所在地系统(北京、广东、福建)维护,不能在本系统中修改或办理业务", "FED-01"),
    "system_differs":        Kind(422, "所选组织属于{system},与“转入组织是否属于北京、广东、福建”的回答不一致,请改正其中一项", "FED-03"),
    "system_missing":        Kind(422, "填写组织名称的,须先选择北京、广东或福建;全团系统的组织请直接查找", "FED-04"),
    "target_twice":          Kind(422, "已选择转入组织,不再另填名称;请清空其中一项", "FED-06"),
    "target_missing":        Kind(422, "请选择转入组织", "TRF-10"),
    "target_forbidden":      Kind(422, "特殊单位转接不选择转入组织", "SPU-02"),
    "special_by_target":     Kind(422, "特殊单位转接只能由转出方或团员发起", "SPU-04"),
    "further_study_township": Kind(422, "升学团员不得转往乡镇街道团组织", "TYPE-06"),
    "destination_forbidden": Kind(422, "“{reason}”不能转往{place},请核对转接原因或另选转入组织", "TYPE-09"),
    "destination_unusual":   Kind(422, "“{reason}”一般不转往{place};确认无误的,请勾选确认后重新提交", "BEY-01"),
    "division_invalid":      Kind(422, "行政区划代码须为6、9或12位数字", "TRF-13"),
    "division_missing":      Kind(422, "请填写工作单位所在县区的行政区划代码,以核对不是转往户籍地", "TYPE-10"),
    "household_remark":      Kind(422, "转往工作地以外的乡镇街道,须在备注中说明原因", "TYPE-10"),
    "unemployed_with_employer": Kind(422, "已填写工作单位的,不能选择“未就业”", "TYPE-03"),
    "drop_out_reason":       Kind(422, "退学离校的学生团员,按毕业生去向选择转接原因", "TYPE-21"),
    "drop_out_needed":       Kind(422, "在校学生团员转往校外的,按退学办理,并按毕业生去向选择原因", "TYPE-21"),
    "abroad_request_missing": Kind(409, "转往出国(境)学习研究团支部前,须先书面申请并经学校团委批准", "GRAD-33"),
    "letter_missing":        Kind(422, "转往特殊单位另须纸质介绍信,请在意见中填写介绍信编号", "SPU-09"),
    "in_vault":              Kind(409, "特殊单位专属库中的团员不能自行发起转接,请联系省级团委", "SPU-08"),
    "batch_stopped":         Kind(409, "同一批次中有团员不能转接,本批次未办理", "BATCH-05"),
    "batch_size":            Kind(422, "批量转接一次须选1至{limit}名团员,且不能重复", "BATCH-01"),
    "batch_by_committee":    Kind(403, "只有团委、团工委、团总支可以批量转接", "BATCH-01"),
    "batch_branches":        Kind(422, "转出和转入的团支部都须在本组织之下", "BATCH-04"),
    "nothing_matches":       Kind(422, "没有符合条件的待办", "BEY-05"),
    "too_many_match":        Kind(422, "符合条件的待办有{count}项,一次最多办理{limit}项,请缩小范围", "BEY-05"),
    "count_changed":         Kind(409, "符合条件的待办现为{count}项,与确认时不同,请重新确认", "BEY-05"),
    "unknown_bulk":          Kind(404, "未找到该批量办理", "BEY-05"),
    "too_many_views":        Kind(422, "最多保存{limit}个视图,请先删除一个", "BEY-05"),
    "bulk_stopped":          Kind(409, "已停止,未办理", "BEY-05"),
    "urged_elsewhere":       Kind(409, "此环节由对方系统办理,在这里催办,对方收不到。请拨打页面上对方的电话", "FED-13"),
    "urge_early":            Kind(409, "等待满3天后方可催办,且3天内只能催办一次", "BEY-21"),
    "somebody_looks":        Kind(409, "另一位管理员正在查看", "BEY-23"),
    "not_restartable":       Kind(409, "只有已驳回、退回或撤销的业务可以重新发起", "BEY-04"),
    "not_escalatable":       Kind(409, "只有团员本人可以就被驳回的业务申请上级协调,且只能申请一次", "BEY-06"),
    "answer_unknown":        Kind(422, "请选择建议接收或维持驳回", "BEY-06"),
    "unknown_figure":        Kind(404, "没有该统计项", "BEY-11"),
    "unknown_policy":        Kind(404, "没有该政策", "BEY-07"),
    "unknown_plan":          Kind(422, "请选择毕业后的去向", "BEY-01"),
    "address_refused":       Kind(422, "该地址不在允许范围内({allowed})", "BEY-15"),
    "too_many_webhooks":     Kind(409, "每个组织最多登记{limit}个通知地址,请先停用不再使用的地址", "BEY-15"),
    "unknown_webhook":       Kind(404, "未找到该地址", "BEY-15"),
    "outside_window":        Kind(409, "毕业生组织关系转接在{begins}至{ends}办理", "DL-10"),
    "abroad_study_target":   Kind(422, "出国(境)学习研究只能转往本校出国(境)学习研究团支部", "TYPE-14"),
    "graduate_reason_needed": Kind(422, "毕业生团组织的毕业生转出须选择毕业去向", "GRAD-15"),
    "ordinary_reason_needed": Kind(422, "非毕业生(含延迟毕业团员、教师)请选择非毕业生的转接原因", "GRAD-17"),
    "delayed_elsewhere":     Kind(422, "延迟毕业团员只能转往规定的团组织", "GRAD-22"),
    "unknown_reason":        Kind(422, "转接原因不在可选范围", "TYPE-01"),
    "field_missing":         Kind(422, "请填写{field}", "TYPE-04"),
    "remark_missing":        Kind(422, "转往特殊单位须在备注中简要写明去向", "SPU-03"),
    "remark_too_long":       Kind(422, "备注最多100个字", "TRF-11"),
    "ticket_invalid":        Kind(422, "请先按姓名和身份证号查询该团员", "TRF-05"),
    # deciding, assigning, withdrawing
    "node_closed":           Kind(409, "该业务已由他人处理或已进入其他环节,请刷新", "TRF-21"),
    "still_checking":        Kind(409, "业务正在校验,请稍候再试", "TRF-02"),
    "transfer_ended":        Kind(409, "该业务已结束", "TRF-25"),
    "reason_missing":        Kind(422, "驳回时必须填写原因", "TRF-24"),
    "note_too_long":         Kind(422, "审批意见最多200个字"),
    "peer_starts":           Kind(
        422, "跨北京、广东、福建系统的转接,由团员本人或其所在团组织在所在系统发起", "FED-01"
    ),
    "decided_elsewhere":     Kind(409, "此环节由对方系统办理,本系统不能代为审批", "FED-08"),
    "peer_withdrawal":       Kind(409, "转往或来自北京、广东、福建的业务不能撤销", "FED-09"),
    "too_late_to_withdraw":  Kind(409, "最后一个审批环节已通过,不能撤销", "TRF-28"),
    "not_initiator":         Kind(403, "只有发起方或团员本人可以撤销", "TRF-28"),
    "branch_not_below":      Kind(422, "所选团支部不在本组织之下", "ASG-02"),
    "no_branch_yet":         Kind(409, "本组织尚无可分配的团支部,请先创建团支部", "ASG-07"),
    # bridges and their operators
    "operators_only":        Kind(403, "只有团中央的管理员可以办理对接运维", "FED-11"),
    "bridge_by_province":    Kind(403, "只有团中央和省级团委可以查看跨系统转接的对接情况", "FED-11"),
    "unknown_crossing":      Kind(404, "未找到该跨系统转接", "FED-11"),
    "operating_reason_missing": Kind(422, "请填写处理原因", "FED-11"),
    "bridge_paused":         Kind(409, "对接已经暂停", "FED-11"),
    "bridge_not_paused":     Kind(409, "对接没有暂停", "FED-11"),
    "bridge_without_key":    Kind(503, "本系统没有可用的签名密钥,请先生成密钥", "BEY-16"),
    "nothing_to_send_again": Kind(409, "没有可以重发的消息:只能重发已签收或停止发送的消息", "FED-11"),
    "decision_of_quarantine": Kind(422, "请选择重新执行、答复拒绝或作废", "FED-11"),
    "quarantine_closed":     Kind(409, "该消息不在隔离区,或已由他人处理,请刷新", "FED-11"),
    "quarantine_impossible": Kind(409, "按该业务目前的状态不能这样处理,请另选处理方式", "FED-11"),
    "day_not_comparable":    Kind(422, "只能核对{since}至今天的日期", "BEY-16"),
    "difference_closed":     Kind(409, "该差异已消除或已由他人确认,请刷新", "BEY-16"),
    "not_to_release":        Kind(409, "对方尚未签名确认从未收到档案,不能恢复该团员", "FED-11"),
    "not_to_give_up":        Kind(409, "该业务不在等待档案,或档案已经收到,不能放弃等待", "FED-11"),
    # organisations and import
    "org_has_children":      Kind(409, "该组织还有{count}个下级组织", "DEL-02"),
    "name_taken":            Kind(409, "已有组织使用该全称,请修改后再保存", "ORG-09"),
    "org_not_empty":         Kind(409, "该组织还有{what},不能删除;有团员的团支部可以转为待接转团支部", "DEL-03"),
    "awaiting_not_offered":  Kind(409, "本地区规定有团员的团支部不能转为待接转团支部,请先转出团员", "DEL-03"),
    "org_fixed":             Kind(422, "团中央和省级团委的名称、类别和行业不能修改", "ORG-13"),
    "name_too_long":         Kind(422, "组织全称和简称最多{limit}个字", "ORG-08"),
    "not_an_org":            Kind(422, "青工委、青年部、群团部等不属于团组织,不能创建", "ORG-06"),
    "org_division_invalid":  Kind(422, "行政区划代码须为2、4、6、9或12位数字", "TYPE-10"),
    "purpose_not_here":      Kind(422, "该类团支部不能建在此组织之下", "ORG-39"),
    "township_not_here":     Kind(422, "乡镇街道团组织只能是建在县级或市级团委之下、不属于学校领域的团委或团工委", "ORG-28"),
    "handover_from_september": Kind(422, "县级团委自9月起方可自建学社衔接临时团支部", "ORG-29"),
    "industry_unknown":      Kind(422, "所属行业不在可选范围", "ORG-25"),
    "secretary_missing":     Kind(422, "请先录入书记;暂无书记的,录入主持工作的同志", "ORG-19"),
    "kind_fixed":            Kind(409, "组织类别只能在首次核对本组织信息时更改一次", "ORG-11"),
    "not_a_school":          Kind(422, "只有独立学校才有学校机构编号", "SCH-04"),
    "school_number_form":    Kind(422, "学校机构编号由4至20位字母或数字组成", "SCH-03"),
    "not_awaiting":          Kind(422, "只有团支部可以转为待接转团支部", "DEL-03"),
    "not_a_cadre":           Kind(409, "管理员须从本组织团干部中产生,请先录入为本级团干部", "ADM-02"),
    "migration_provincial":  Kind(422, "省级及以上团组织不能申请组织迁移", "MIG-02"),
    "migration_across":      Kind(422, "跨省迁移请由省级管理员线下联系团中央", "MIG-05"),
    "migration_inside":      Kind(422, "新的上级组织不能在本组织之下", "MIG-06"),
    "migration_nowhere":     Kind(422, "该组织已在所选上级之下", "MIG-03"),
    "migration_branch":      Kind(422, "团支部不能作为上级组织", "MIG-07"),
    "migration_open":        Kind(409, "该组织或其上下级已有迁移正在办理", "MIG-06"),
    "unknown_migration":     Kind(404, "未找到该组织迁移", "MIG-03"),
    "migration_closed":      Kind(409, "该迁移已由他人处理或已结束,请刷新", "MIG-04"),
    "too_many_administrators": Kind(409, "管理员人数已达上限({limit}名)", "ADM-01"),
    "no_observers":          Kind(422, "本系统未启用观察员,或该人员已是管理员", "ROLE-10"),
    "has_administrators":    Kind(409, "该组织已有管理员,请由其任命其他管理员", "ADM-10"),
    "setup_closed":          Kind(409, "本系统已有管理员,首次安装页面已关闭", "ADM-10"),
    "setup_token_wrong":     Kind(422, "安装令牌不正确,请查看安装时的输出或密钥目录中的 setup_token 文件", "ADM-10"),
    "own_right":             Kind(409, "不能撤销自己的管理员权限", "ADM-07"),
    "roster_broken":         Kind(422, "无法读取该表格:{detail}", "IMP-04"),
    "sheets_busy":           Kind(429, "正在读取其他表格,请稍候再上传", "IMP-14"),
    "roster_too_long":       Kind(422, "一次最多导入{limit}行", "IMP-14"),
    # entering members
    "name_missing":          Kind(422, "姓名不能为空", "IMP-08"),
    "name_invalid":          Kind(422, "姓名含有数字、符号或无法识别的字符,请按身份证上的姓名填写", "IMP-08"),
    "id_invalid":            Kind(422, "身份证号码不正确", "IMP-08"),
    "registered_already":    Kind(409, "身份证已注册,请直接登录;忘记密码的,向所在组织或其上级索取密码重置验证码", "ACC-11"),
    "id_registered":         Kind(409, "身份证号重复", "ACC-11"),
    "age_out_of_range":      Kind(422, "团员年龄须满14周岁且未满28周岁", "MEM-04"),
    "joined_too_young":      Kind(422, "入团时年龄未满{age}周岁", "MEM-05"),
    "joined_on_missing":     Kind(422, "入团时间不能为空", "IMP-08"),
    "joined_in_future":      Kind(422, "入团时间不能晚于今天", "IMP-08"),
    "development_number_missing": Kind(422, "2017年1月1日以后入团须填写发展团员编号", "MEM-08"),
    "development_number_form": Kind(422, "发展团员编号格式不正确", "MEM-12"),
    "development_number_year": Kind(422, "发展团员编号前四位须与入团年份一致", "MEM-10"),
    "development_number_used": Kind(409, "发展团员编号已被他人使用", "MEM-09"),
    "reset_failed":          Kind(401, "身份证号码或密码重置验证码不正确,或验证码已过期", "ACC-08"),
    "reset_own":             Kind(409, "不能为自己生成密码重置验证码,请直接修改密码", "ADM-07"),
    "reset_elsewhere":       Kind(403, "该人员在其他组织有管理权限,请由其所管理的最高组织的其他管理员或该组织的直属上级办理", "ACC-07"),
    "unknown_import":        Kind(404, "未找到该导入", "IMP-06"),
    # posts, codes, registrations
    "post_unknown":          Kind(422, "该职务不在此类组织的可选范围", "CADRE-05"),
    "secretary_in_post":     Kind(409, "本组织已有书记,请先将原书记改为无职务或其他职务", "ADM-16"),
    "revoke_right_first":    Kind(409, "请先撤销其管理员权限,再变更职务", "ADM-16"),
    "cadre_too_young":       Kind(422, "团干部年龄须满14周岁", "CADRE-08"),
    "name_differs":          Kind(409, "该身份证号码已登记,但姓名不一致", "ACC-11"),
    "registration_pending":  Kind(409, "该非团员正在走注册流程,不支持当前操作", "ORG-20"),
    "administrators_full":   Kind(409, "该组织管理员人数已达上限({limit}名),不能再生成注册码", "ADM-11"),
    "code_invalid":          Kind(422, "管理员注册码不正确、已使用或已失效", "ADM-09"),
    "sign_in_to_register":   Kind(409, "身份证已注册,请登录后再使用管理员注册码", "ADM-15"),
    "registration_missing":  Kind(404, "未找到该注册申请", "REG-07"),
    "registration_closed":   Kind(409, "该注册申请已处理、已撤销或已过期", "REG-04"),
    "has_branch":            Kind(409, "该人员已有所在团支部,请办理组织关系转接", "REG-02"),
    "profile_incomplete":    Kind(422, "个人资料不完整,请补充必填项", "MEM-23"),
    "identity_failed":       Kind(422, "身份认证未通过:姓名与身份证号不符的,请联系上级团的领导机关;资料无误的,不影响使用", "MEM-19"),
    # lists, retentions, letters
    "access_reason_missing": Kind(422, "查看或导出完整身份证号码须填写事由", "MEM-32"),
    "unknown_report":        Kind(404, "没有该名单"),
    "retention_unknown":     Kind(404, "未找到该登记", "GRAD-29"),
    "retention_open":        Kind(409, "该团员已有申请或登记", "GRAD-29"),
    "retention_kind":        Kind(422, "类别只能是出国(境)学习研究或暂留学校", "GRAD-26"),
    "retention_not_here":    Kind(422, "此类学校的毕业生不能暂留学校", "GRAD-26"),
    "retention_too_long":    Kind(422, "暂留学校最长{months}个月", "GRAD-26"),
    "retention_too_early":   Kind(422, "{date}之后方可办理暂留", "GRAD-26"),
    "retention_dates":       Kind(422, "截止日期须晚于起始日期", "GRAD-29"),
    "not_a_graduate":        Kind(422, "只有毕业生可以暂留学校", "GRAD-26"),
    "retention_closed":      Kind(409, "该申请已处理", "GRAD-29"),
    "letter_unknown":        Kind(404, "查无此介绍信", "DOC-04"),
    "too_many_to_sort":      Kind(422, "人数超过{limit},不能排序,请先选择下级组织或按姓名筛选", "MEM-28"),
    "letter_void":           Kind(409, "介绍信已作废,不能再打印", "DOC-14"),
    "letter_by_committee":   Kind(403, "介绍信由团委、团工委、团总支或领导机关开具", "DOC-02"),
    "number_out_of_range":   Kind(422, "发展团员编号不在{province}{year}年的号段内", "MEM-11"),
    # records
    "not_leading_body":      Kind(403, "只有所在团支部上级的团的领导机关可以删除团员", "DEL-05"),
    "found_in_future":       Kind(422, "落实去向的日期不能晚于今天", "TYPE-16"),
    "delete_higher":         Kind(403, "本地区规定由更高一级团的领导机关删除团员", "MEM-19"),
    "reason_needed":         Kind(422, "请填写删除原因", "DEL-07"),
    "deleted_elsewhere":     Kind(409, "该人员已从其他团支部删除,须由原团支部重新录入,再办理组织关系转接", "TRF-36"),
    "transfer_to_peer":      Kind(422, "不能删除后到北京、广东、福建的系统中重新注册。请办理组织关系转接:办理转出时,转入组织选北京、广东或福建的团组织", "FED-07"),
    "stands_in_peer":        Kind(409, "您的组织关系已在北京、广东或福建的系统中,不能在此重新注册。请在当地系统中发起组织关系转接", "FED-07"),
    "stands_elsewhere":      Kind(409, "该人员的组织关系在北京、广东或福建的系统中,本系统只保留历史,不能修改或办理业务", "FED-12"),
    "handed_over":           Kind(409, "该团员的档案正在移交给北京、广东或福建的系统,移交结束前只能修改电话和联系人", "FED-10"),
    "transfer_instead":      Kind(422, "仅是不属于本组织的团员,请办理组织关系转接,不能删除", "DEL-09"),
    "is_administrator":      Kind(409, "该团员是管理员,请先撤销其管理员权限", "DEL-08"),
    # graduation marks
    "mark_incomplete":       Kind(422, "请填写预计毕业时间,或选择无法设置的原因(教师支部、混合支部)", "GRAD-07"),
    "graduation_started":    Kind(409, "该团支部已有团员办理转接,不能改为以后年份", "GRAD-14"),
    "not_markable":          Kind(422, "只有学校领域的团支部可以标记毕业时间(小学和未填所属行业的除外)", "GRAD-09"),
    "branch_not_graduate":   Kind(409, "该团支部尚未转为毕业生团组织,请先标记毕业时间", "GRAD-23"),
    "branch_not_mixed":      Kind(409, "只有混合支部的团员可以单独标记毕业时间", "GRAD-11"),
    "delay_too_short":       Kind(422, "延迟毕业时间必须晚于团支部毕业时间({date})", "GRAD-20"),
    "mark_unknown":          Kind(422, "标记类别不正确", "GRAD-16"),
    "branch_not_direct":     Kind(422, "该团支部存在,但不是您的直属下级,请由其直属上级“{superior}”导入", "IMP-11"),
    "branch_misnamed":       Kind(422, "没有名为“{name}”的团支部,请按组织全称填写", "IMP-11"),
    "branch_unknown":        Kind(422, "未找到该团支部", "ORG-04"),
    # the machinery
    "command_taken":         Kind(409, "该请求编号已被他人使用,请刷新页面后重新提交"),
    "no_bridge":             Kind(404, "与该系统的对接没有开通;需要开通时,请联系系统部署人员", "FED-01"),
    "unavailable":           Kind(503, "服务暂时不可用,请稍后重试;重试不会重复办理"),
    "internal":              Kind(500, "系统内部错误,请把请求编号告知管理员"),
}
# fmt: on

_PART, _VALUE = "\x1e", "\x1f"
"""Separators of a value that is put together; no contract takes a text with such characters."""


def told(*parts: str | tuple[object, ...]) -> str:
    """Return a value of a refusal that is put together of texts, each alone or with what is put into it.

    Texts of the catalogue are said in the language of whoever sees the refusal.
    """
    return _PART.join(
        part if isinstance(part, str) else _VALUE.join(str(one) for one in part) for part in parts
    )


def _said(value: str, words: Callable[[str], str]) -> str:
    """Return a value in words; one that was not put together is a single text."""
    said = ""
    for part in value.split(_PART):
        text, *within = part.split(_VALUE)
        said += words(text).format(*map(words, within)) if within else words(text)
    return said


class Refusal(msgspec.Struct, frozen=True):
    """A refusal as it travels in replies and results: code and the values of its fields."""

    code: str
    values: dict[str, str] = {}

    @property
    def kind(self) -> Kind:
        """Return status, words and rule of the code."""
        return KINDS[self.code]

    def say(self, language: str = "zh") -> str:
        """Return the sentence for people in `zh` or `en`."""
        words = str if language == "zh" else english
        return words(self.kind.zh).format_map(
            {name: _said(value, words) for name, value in self.values.items()}
        )


class Refused(Exception):
    """Raised where a request is refused; carries the `Refusal`."""

    def __init__(self, code: str, **values: object) -> None:
        if code not in KINDS:
            raise KeyError(f"unknown refusal code {code!r}")
        super().__init__(code)
        self.refusal = Refusal(code, {key: str(value) for key, value in values.items()})

    @staticmethod
    def of(refusal: Refusal) -> Refused:
        """Return what is raised for a refusal that a rule has found."""
        return Refused(refusal.code, **refusal.values)

    @property
    def code(self) -> str:
        """Return the stable code."""
        return self.refusal.code
