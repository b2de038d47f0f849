"""Every refusal the system knows: a code, an HTTP status, the words for people, and the rule behind it.

Codes are stable. A refusal is something the caller can put right or must know; anything else is a
bug and is logged with its request id.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from shared.reference import FIELDS


class Kind(NamedTuple):
    """What a code means: HTTP status, Chinese and English sentence (with `{}` fields), rule ID or empty."""

    status: int
    zh: str
    en: str
    rule: str = ""


# A table is read by its columns, so a code stays one line.
# fmt: off
KINDS: dict[str, Kind] = {
    # who is asking
    "sign_in_failed":        Kind(401, "身份证或密码错误", "Wrong ID number or password", "ACC-10"),
    "token_invalid":         Kind(401, "登录凭证无效,请重新登录", "The token is not valid; sign in again"),
    "token_expired":         Kind(401, "登录已过期,请重新登录", "The token has expired; sign in again"),
    "password_change_needed": Kind(403, "首次登录须先修改初始密码", "Change the initial password first", "ACC-05"),
    "password_weak":         Kind(422, "新密码至少8位,且不得与初始密码相同", "The new password needs 8 characters and must differ from the initial one", "ACC-05"),
    "captcha_wrong":         Kind(422, "验证码不正确或已过期,请按新图片重新输入", "The characters are wrong or have lapsed; read the new picture", "ACC-02"),
    "too_many_attempts":     Kind(429, "尝试次数过多,请{minutes}分钟后再试", "Too many attempts; try again in {minutes} minutes"),
    "not_administrator":     Kind(403, "您不是该组织的管理员", "You do not administer this organisation", "ROLE-04"),
    "not_your_org":          Kind(403, "该组织不在您的管理范围内", "This organisation is outside your rights", "ROLE-16"),
    "not_your_node":         Kind(403, "当前节点不由您的组织审批", "The open node is not decided by your organisation", "TRF-21"),
    "audit_by_province":     Kind(403, "只有团中央和省级团委可以查看操作日志", "Only the centre and the provincial bodies read the audit log", "BEY-10"),
    "not_your_member":       Kind(403, "您无权查看或办理该团员", "You have no right over this member", "SRCH-06"),
    # what was asked
    "bad_request":           Kind(400, "请求格式不正确:{detail}", "The request is malformed: {detail}"),
    "too_large":             Kind(413, "请求内容过大(上限{limit})", "The request is too large (limit {limit})"),
    "header_too_large":      Kind(431, "请求地址和头部过长(上限{limit})", "Address and headers of the request are too long (limit {limit})"),
    "too_many_items":        Kind(422, "一次最多{limit}项", "At most {limit} items at a time", "BEY-05"),
    "not_found":             Kind(404, "未找到该页面或对象", "Nothing is found here"),
    "method_not_allowed":    Kind(405, "该地址不支持此操作", "This address does not support the method"),
    "unknown_org":           Kind(404, "组织不存在或已删除", "The organisation does not exist or was deleted", "ORG-01"),
    "unknown_transfer":      Kind(404, "未找到该转接业务", "No such transfer"),
    "unknown_member":        Kind(404, "姓名与身份证号不匹配或查无此人", "No member with exactly this name and ID number", "TRF-06"),
    # starting a transfer
    "transfer_open":         Kind(409, "已有业务正在办理,不能重复发起", "A transfer of this member is already open", "TRF-02"),
    "member_elsewhere":      Kind(409, "该团员不在所填转出团支部", "The member is not in the given source branch", "MEM-01"),
    "not_a_branch":          Kind(422, "转出组织必须是团支部", "The source must be a branch", "ORG-04"),
    "same_org":              Kind(422, "转出与转入组织不能相同", "Source and target must differ", "TRF-40"),
    "target_not_allowed":    Kind(422, "转入组织须为团委、团工委、团总支或团支部", "The target must be a committee kind or a branch", "TRF-15"),
    "target_peer":           Kind(422, "北京、广东、福建使用独立系统,对接尚未开通", "Beijing, Guangdong and Fujian run their own systems; the bridge is not connected yet", "FED-01"),
    "target_missing":        Kind(422, "请选择转入组织", "Choose the target organisation", "TRF-10"),
    "target_forbidden":      Kind(422, "特殊单位转接不选择转入组织", "A transfer to a special unit has no target", "SPU-02"),
    "special_by_target":     Kind(422, "特殊单位转接只能由转出方或团员发起", "Only the source or the member starts a transfer to a special unit", "SPU-04"),
    "further_study_township": Kind(422, "升学团员不得转往乡镇街道团组织", "A member in further study is not sent to a township", "TYPE-06"),
    "destination_forbidden": Kind(422, "“{reason}”不能转往{place},请核对转接原因或另选转入组织", "{reason}: {place} is no destination; check the reason or choose another", "TYPE-09"),
    "destination_unusual":   Kind(422, "“{reason}”一般不转往{place};确认无误的,请勾选确认后重新提交", "{reason}: {place} is unusual; if it is right, confirm and send again", "BEY-01"),
    "division_invalid":      Kind(422, "行政区划代码须为6、9或12位数字", "A division code has 6, 9 or 12 digits", "TRF-13"),
    "division_missing":      Kind(422, "请填写工作单位所在县区的行政区划代码,以核对不是转往户籍地", "Give the division code of the county of work, so that it can be seen that the member is not sent home", "TYPE-10"),
    "household_remark":      Kind(422, "转往工作地以外的乡镇街道,须在备注中说明原因", "To a township elsewhere than the place of work: say why in the remark", "TYPE-10"),
    "unemployed_with_employer": Kind(422, "已填写工作单位的,不能选择“未就业”", "Who names an employer is not without employment; choose another reason", "TYPE-03"),
    "drop_out_reason":       Kind(422, "退学离校的学生团员,按毕业生去向选择转接原因", "Who drops out of a school gives one of the graduates' reasons, but for study abroad", "TYPE-21"),
    "drop_out_needed":       Kind(422, "在校学生团员转往校外的,按退学办理,并按毕业生去向选择原因", "A student who leaves the schools drops out, and gives one of the graduates' reasons", "TYPE-21"),
    "abroad_request_missing": Kind(409, "转往出国(境)学习研究团支部前,须先书面申请并经学校团委批准", "Before the move into the study-abroad branch the written request has to be approved", "GRAD-33"),
    "letter_missing":        Kind(422, "转往特殊单位另须纸质介绍信,请在意见中填写介绍信编号", "A special unit needs a paper letter as well: give its number in the note", "SPU-09"),
    "in_vault":              Kind(409, "特殊单位专属库中的团员不能自行发起转接,请联系省级团委", "Members in the special-unit library start nothing themselves; ask the provincial committee", "SPU-08"),
    "batch_stopped":         Kind(409, "同一批次中有团员不能转接,本批次未办理", "Another member of the batch cannot be moved, so none was", "BATCH-05"),
    "batch_size":            Kind(422, "批量转接一次须选1至{limit}名团员,且不能重复", "A batch move takes 1 to {limit} members, each once", "BATCH-01"),
    "batch_by_committee":    Kind(403, "只有团委、团工委、团总支可以批量转接", "Committee kinds move in batches", "BATCH-01"),
    "batch_branches":        Kind(422, "转出和转入的团支部都须在本组织之下", "Both branches must lie below your organisation", "BATCH-04"),
    "nothing_matches":       Kind(422, "没有符合条件的待办", "Nothing that waits matches the filter", "BEY-05"),
    "too_many_match":        Kind(422, "符合条件的待办有{count}项,一次最多办理{limit}项,请缩小范围", "The filter takes in {count}; at most {limit} at a time, narrow it", "BEY-05"),
    "count_changed":         Kind(409, "符合条件的待办现为{count}项,与确认时不同,请重新确认", "{count} match now, another number than you confirmed; look again", "BEY-05"),
    "unknown_bulk":          Kind(404, "未找到该批量办理", "No such bulk decision", "BEY-05"),
    "bulk_stopped":          Kind(409, "已停止,未办理", "Stopped before its turn", "BEY-05"),
    "urge_early":            Kind(409, "等待满3天后方可催办,且3天内只能催办一次", "A reminder goes out from the third day on, once in three days", "BEY-21"),
    "somebody_looks":        Kind(409, "另一位管理员正在查看", "Another administrator is looking at it", "BEY-23"),
    "not_restartable":       Kind(409, "只有已驳回、退回或撤销的业务可以重新发起", "Only what was rejected, returned or withdrawn is started again", "BEY-04"),
    "not_escalatable":       Kind(409, "只有团员本人可以就被驳回的业务申请上级协调,且只能申请一次", "Only the member, of a rejected transfer, and once", "BEY-06"),
    "answer_unknown":        Kind(422, "请选择建议接收或维持驳回", "Advise to receive, or uphold", "BEY-06"),
    "unknown_figure":        Kind(404, "没有该统计项", "No such figure", "BEY-11"),
    "unknown_policy":        Kind(404, "没有该政策", "There is no such policy", "BEY-07"),
    "unknown_plan":          Kind(422, "请选择毕业后的去向", "Choose what comes next", "BEY-01"),
    "address_refused":       Kind(422, "该地址不在允许范围内({allowed})", "This address is not allowed here ({allowed})", "BEY-15"),
    "too_many_webhooks":     Kind(409, "每个组织最多登记{limit}个通知地址,请先停用不再使用的地址", "An organisation has at most {limit} addresses told; switch one off first", "BEY-15"),
    "unknown_webhook":       Kind(404, "未找到该地址", "No such address", "BEY-15"),
    "outside_window":        Kind(409, "毕业生组织关系转接在{begins}至{ends}办理", "Graduates' transfers are started from {begins} to {ends}", "DL-10"),
    "abroad_study_target":   Kind(422, "出国(境)学习研究只能转往本校出国(境)学习研究团支部", "Study abroad goes to the school's own study-abroad branch", "TYPE-14"),
    "graduate_reason_needed": Kind(422, "毕业生团组织的毕业生转出须选择毕业去向", "A graduate leaves with one of the graduates' reasons", "GRAD-15"),
    "ordinary_reason_needed": Kind(422, "非毕业生(含延迟毕业团员、教师)请选择非毕业生的转接原因", "Who is no graduate, delayed graduates and teachers included, leaves with one of the ordinary reasons", "GRAD-17"),
    "delayed_elsewhere":     Kind(422, "延迟毕业团员只能转往规定的团组织", "Delayed graduates go to the branches that are set for them only", "GRAD-22"),
    "unknown_reason":        Kind(422, "转接原因不在可选范围", "The reason is not one of the list", "TYPE-01"),
    "field_missing":         Kind(422, "请填写{field}", "Fill in {field}", "TYPE-04"),
    "remark_missing":        Kind(422, "转往特殊单位须在备注中简要写明去向", "A special unit needs a short destination in the remark", "SPU-03"),
    "remark_too_long":       Kind(422, "备注最多100个字", "A remark has at most 100 characters", "TRF-11"),
    "ticket_invalid":        Kind(422, "请先按姓名和身份证号查询该团员", "Look the member up by name and ID number first", "TRF-05"),
    # deciding, assigning, withdrawing
    "node_closed":           Kind(409, "该业务已由他人处理或已进入其他环节,请刷新", "The node is closed: someone was first or it moved on; reload", "TRF-21"),
    "still_checking":        Kind(409, "业务正在校验,请稍候再试", "The request is still being checked; try again in a moment", "TRF-02"),
    "transfer_ended":        Kind(409, "该业务已结束", "This transfer has ended", "TRF-25"),
    "reason_missing":        Kind(422, "驳回时必须填写原因", "A rejection needs a reason", "TRF-24"),
    "note_too_long":         Kind(422, "审批意见最多200个字", "A note has at most 200 characters"),
    "too_late_to_withdraw":  Kind(409, "最后一个审批环节已通过,不能撤销", "The last approval has been given; too late to withdraw", "TRF-28"),
    "not_initiator":         Kind(403, "只有发起方或团员本人可以撤销", "Only the initiator's side or the member may withdraw", "TRF-28"),
    "branch_not_below":      Kind(422, "所选团支部不在本组织之下", "The branch does not lie below your organisation", "ASG-02"),
    "no_branch_yet":         Kind(409, "本组织尚无可分配的团支部,请先创建团支部", "There is no branch to assign to yet; make one first", "ASG-07"),
    # organisations and import
    "org_has_children":      Kind(409, "该组织还有{count}个下级组织", "The organisation still has {count} organisations below it", "DEL-02"),
    "name_taken":            Kind(409, "已有组织使用该全称,请修改后再保存", "Another organisation has this full name", "ORG-09"),
    "org_not_empty":         Kind(409, "该组织还有{what},不能删除;有团员的团支部可以转为待接转团支部", "The organisation still has {what}; it is not deleted, a branch with members may be set aside", "DEL-03"),
    "awaiting_not_offered":  Kind(409, "本地区规定有团员的团支部不能转为待接转团支部,请先转出团员", "Here a branch with members is not set aside; transfer the members first", "DEL-03"),
    "org_fixed":             Kind(422, "团中央和省级团委的名称、类别和行业不能修改", "Names, kind and industry of the centre and the provincial bodies stay as they are", "ORG-13"),
    "name_too_long":         Kind(422, "组织全称和简称最多{limit}个字", "The names of an organisation have at most {limit} characters", "ORG-08"),
    "not_an_org":            Kind(422, "青工委、青年部、群团部等不属于团组织,不能创建", "Youth-work bodies and departments are not organisations of the tree", "ORG-06"),
    "org_division_invalid":  Kind(422, "行政区划代码须为2、4、6、9或12位数字", "A division code has 2, 4, 6, 9 or 12 digits", "TYPE-10"),
    "purpose_not_here":      Kind(422, "该类团支部不能建在此组织之下", "No branch of this purpose stands below this organisation", "ORG-39"),
    "township_not_here":     Kind(422, "乡镇街道团组织只能是建在县级或市级团委之下、不属于学校领域的团委或团工委", "A township's organisation is a committee or work committee outside the school domain, directly below a county's or city's leading body", "ORG-28"),
    "handover_from_september": Kind(422, "县级团委自9月起方可自建学社衔接临时团支部", "A county makes a hand-over branch of its own from September on", "ORG-29"),
    "industry_unknown":      Kind(422, "所属行业不在可选范围", "No such industry", "ORG-25"),
    "secretary_missing":     Kind(422, "请先录入书记;暂无书记的,录入主持工作的同志", "Record the secretary first, or who presides for the time being", "ORG-19"),
    "kind_fixed":            Kind(409, "组织类别只能在首次核对本组织信息时更改一次", "The kind changes once only, when the organisation is checked for the first time", "ORG-11"),
    "not_a_school":          Kind(422, "只有独立学校才有学校机构编号", "Only an independent school has a school number", "SCH-04"),
    "school_number_form":    Kind(422, "学校机构编号由4至20位字母或数字组成", "A school number is 4 to 20 letters or digits", "SCH-03"),
    "not_awaiting":          Kind(422, "只有团支部可以转为待接转团支部", "Only a branch becomes an awaiting branch", "DEL-03"),
    "not_a_cadre":           Kind(409, "管理员须从本组织团干部中产生,请先录入为本级团干部", "Only a cadre of the organisation becomes its administrator; record a post first", "ADM-02"),
    "migration_provincial":  Kind(422, "省级及以上团组织不能申请组织迁移", "Only organisations below the provincial level migrate", "MIG-02"),
    "migration_across":      Kind(422, "跨省迁移请由省级管理员线下联系团中央", "Migration across provinces goes off-line, through the provincial administrator to the centre", "MIG-05"),
    "migration_inside":      Kind(422, "新的上级组织不能在本组织之下", "The new superior lies below the organisation itself", "MIG-06"),
    "migration_nowhere":     Kind(422, "该组织已在所选上级之下", "The organisation stands below this superior already", "MIG-03"),
    "migration_branch":      Kind(422, "团支部不能作为上级组织", "A branch has no subordinates", "MIG-07"),
    "migration_open":        Kind(409, "该组织或其上下级已有迁移正在办理", "A migration of this organisation, one above or one below is open already", "MIG-06"),
    "unknown_migration":     Kind(404, "未找到该组织迁移", "No such migration", "MIG-03"),
    "migration_closed":      Kind(409, "该迁移已由他人处理或已结束,请刷新", "Someone was first, or the migration has ended; reload", "MIG-04"),
    "too_many_administrators": Kind(409, "管理员人数已达上限({limit}名)", "The organisation has its {limit} administrators already", "ADM-01"),
    "no_observers":          Kind(422, "本系统未启用观察员,或该人员已是管理员", "Observers are not switched on here, or the person administers already", "ROLE-10"),
    "has_administrators":    Kind(409, "该组织已有管理员,请由其任命其他管理员", "The organisation has administrators; they appoint others", "ADM-10"),
    "setup_closed":          Kind(409, "本系统已有管理员,首次安装页面已关闭", "There are administrators; the page of the first installation is closed", "ADM-10"),
    "setup_token_wrong":     Kind(422, "安装令牌不正确,请查看安装时的输出或密钥目录中的 setup_token 文件", "The set-up token is wrong; see the output of the installation, or the file setup_token in the folder of keys", "ADM-10"),
    "own_right":             Kind(409, "不能撤销自己的管理员权限", "Nobody revokes the own right", "ADM-07"),
    "roster_broken":         Kind(422, "无法读取该表格:{detail}", "The spreadsheet cannot be read: {detail}", "IMP-04"),
    "sheets_busy":           Kind(429, "正在读取其他表格,请稍候再上传", "Other spreadsheets are being read; send yours again in a moment", "IMP-14"),
    "roster_too_long":       Kind(422, "一次最多导入{limit}行", "At most {limit} rows in one import", "IMP-14"),
    # entering members
    "name_missing":          Kind(422, "姓名不能为空", "The name is missing", "IMP-08"),
    "name_invalid":          Kind(422, "姓名含有数字、符号或无法识别的字符,请按身份证上的姓名填写", "The name holds digits, symbols or unknown characters; write it as on the ID card", "IMP-08"),
    "id_invalid":            Kind(422, "身份证号码不正确", "The ID number is not valid", "IMP-08"),
    "registered_already":    Kind(409, "身份证已注册,请直接登录;忘记密码的,向所在组织或其上级索取密码重置验证码", "The ID number is registered: sign in; who forgot the password asks the own organisation or its superior for a reset code", "ACC-11"),
    "id_registered":         Kind(409, "身份证号重复", "The ID number is registered already", "ACC-11"),
    "age_out_of_range":      Kind(422, "团员年龄须满14周岁且未满28周岁", "A member is 14 or older and younger than 28", "MEM-04"),
    "joined_too_young":      Kind(422, "入团时年龄未满{age}周岁", "Younger than {age} when joining", "MEM-05"),
    "joined_on_missing":     Kind(422, "入团时间不能为空", "The joining date is missing", "IMP-08"),
    "joined_in_future":      Kind(422, "入团时间不能晚于今天", "The joining date lies in the future", "IMP-08"),
    "development_number_missing": Kind(422, "2017年1月1日以后入团须填写发展团员编号", "Who joined from 2017 on needs a development number", "MEM-08"),
    "development_number_form": Kind(422, "发展团员编号格式不正确", "The development number is malformed", "MEM-12"),
    "development_number_year": Kind(422, "发展团员编号前四位须与入团年份一致", "The development number starts with the joining year", "MEM-10"),
    "development_number_used": Kind(409, "发展团员编号已被他人使用", "The development number is used by someone else", "MEM-09"),
    "reset_failed":          Kind(401, "身份证号码或密码重置验证码不正确,或验证码已过期", "Wrong ID number or reset code, or the code has expired", "ACC-08"),
    "reset_own":             Kind(409, "不能为自己生成密码重置验证码,请直接修改密码", "Nobody makes a reset code for the own account; change the password instead", "ADM-07"),
    "reset_elsewhere":       Kind(403, "该人员在其他组织有管理权限,请由其所管理的最高组织的其他管理员或该组织的直属上级办理", "The person holds rights elsewhere: another administrator of the highest organisation among them, or its direct superior, makes the code", "ACC-07"),
    "unknown_import":        Kind(404, "未找到该导入", "No such import", "IMP-06"),
    # posts, codes, registrations
    "post_unknown":          Kind(422, "该职务不在此类组织的可选范围", "Organisations of this kind have no such post", "CADRE-05"),
    "secretary_in_post":     Kind(409, "本组织已有书记,请先将原书记改为无职务或其他职务", "There is a secretary; give the old one another post or none first", "ADM-16"),
    "revoke_right_first":    Kind(409, "请先撤销其管理员权限,再变更职务", "Revoke the administrator's right before the post", "ADM-16"),
    "cadre_too_young":       Kind(422, "团干部年龄须满14周岁", "A cadre is 14 or older", "CADRE-08"),
    "name_differs":          Kind(409, "该身份证号码已登记,但姓名不一致", "The ID number is registered under another name", "ACC-11"),
    "registration_pending":  Kind(409, "该非团员正在走注册流程,不支持当前操作", "The person's own registration is pending; it has to be withdrawn first", "ORG-20"),
    "administrators_full":   Kind(409, "该组织管理员人数已达上限({limit}名),不能再生成注册码", "The organisation has its {limit} administrators; no code is made", "ADM-11"),
    "code_invalid":          Kind(422, "管理员注册码不正确、已使用或已失效", "The registration code is wrong, used or has lapsed", "ADM-09"),
    "sign_in_to_register":   Kind(409, "身份证已注册,请登录后再使用管理员注册码", "The ID number is registered; sign in and use the code there", "ADM-15"),
    "registration_missing":  Kind(404, "未找到该注册申请", "No such registration", "REG-07"),
    "registration_closed":   Kind(409, "该注册申请已处理、已撤销或已过期", "The registration was decided, withdrawn or has expired", "REG-04"),
    "has_branch":            Kind(409, "该人员已有所在团支部,请办理组织关系转接", "The person is in a branch; start a transfer", "REG-02"),
    "profile_incomplete":    Kind(422, "个人资料不完整,请补充必填项", "The profile is incomplete; fill in what is missing", "MEM-23"),
    "identity_failed":       Kind(422, "身份认证未通过:姓名与身份证号不符的,请联系上级团的领导机关;资料无误的,不影响使用", "The identity check failed; if name or number are wrong, a leading body deletes the record", "MEM-19"),
    # lists, retentions, letters
    "access_reason_missing": Kind(422, "查看或导出完整身份证号码须填写事由", "Unmasked ID numbers need a reason", "MEM-32"),
    "unknown_report":        Kind(404, "没有该名单", "No such list"),
    "retention_unknown":     Kind(404, "未找到该登记", "No such entry in the register", "GRAD-29"),
    "retention_open":        Kind(409, "该团员已有申请或登记", "The member has a request or an entry already", "GRAD-29"),
    "retention_kind":        Kind(422, "类别只能是出国(境)学习研究或暂留学校", "Abroad for studies, or retained at school", "GRAD-26"),
    "retention_not_here":    Kind(422, "此类学校的毕业生不能暂留学校", "Graduates of schools of this kind are not retained", "GRAD-26"),
    "retention_too_long":    Kind(422, "暂留学校最长{months}个月", "Nobody is retained for more than {months} months", "GRAD-26"),
    "retention_too_early":   Kind(422, "{date}之后方可办理暂留", "Nobody is retained before {date}", "GRAD-26"),
    "retention_dates":       Kind(422, "截止日期须晚于起始日期", "The end lies before the beginning", "GRAD-29"),
    "not_a_graduate":        Kind(422, "只有毕业生可以暂留学校", "Only graduates are retained", "GRAD-26"),
    "retention_closed":      Kind(409, "该申请已处理", "The request was decided already", "GRAD-29"),
    "letter_unknown":        Kind(404, "查无此介绍信", "No such letter", "DOC-04"),
    "letter_by_committee":   Kind(403, "介绍信由团委、团工委、团总支或领导机关开具", "Committee kinds and leading bodies issue letters", "DOC-02"),
    "number_out_of_range":   Kind(422, "发展团员编号不在{province}{year}年的号段内", "The number lies outside the ranges issued to {province} for {year}", "MEM-11"),
    # records
    "not_leading_body":      Kind(403, "只有所在团支部上级的团的领导机关可以删除团员", "Only a leading body above the branch deletes members", "DEL-05"),
    "found_in_future":       Kind(422, "落实去向的日期不能晚于今天", "Nothing is found on a day that is still to come", "TYPE-16"),
    "delete_higher":         Kind(403, "本地区规定由更高一级团的领导机关删除团员", "Here a higher leading body deletes members", "MEM-19"),
    "reason_needed":         Kind(422, "请填写删除原因", "Give the reason for the deletion", "DEL-07"),
    "deleted_elsewhere":     Kind(409, "该人员已从其他团支部删除,须由原团支部重新录入,再办理组织关系转接", "This person was deleted from another branch: it is entered there again, and transferred", "TRF-36"),
    "transfer_instead":      Kind(422, "仅是不属于本组织的团员,请办理组织关系转接,不能删除", "Who merely belongs elsewhere is transferred, not deleted", "DEL-09"),
    "is_administrator":      Kind(409, "该团员是管理员,请先撤销其管理员权限", "The member is an administrator; revoke that right first", "DEL-08"),
    # graduation marks
    "mark_incomplete":       Kind(422, "请填写预计毕业时间,或选择无法设置的原因(教师支部、混合支部)", "Give the time of graduation, or the reason why there is none (teachers, mixed)", "GRAD-07"),
    "graduation_started":    Kind(409, "该团支部已有团员办理转接,不能改为以后年份", "Members of the branch have started transfers; its time cannot be put off any more", "GRAD-14"),
    "not_markable":          Kind(422, "只有学校领域的团支部可以标记毕业时间(小学和未填所属行业的除外)", "Only branches of the school domain have a time of graduation, primary schools left out", "GRAD-09"),
    "branch_not_graduate":   Kind(409, "该团支部尚未转为毕业生团组织,请先标记毕业时间", "The branch is no graduates' organisation yet; mark its time of graduation first", "GRAD-23"),
    "branch_not_mixed":      Kind(409, "只有混合支部的团员可以单独标记毕业时间", "Only members of a mixed branch have a time of graduation of their own", "GRAD-11"),
    "delay_too_short":       Kind(422, "延迟毕业时间必须晚于团支部毕业时间({date})", "The new time has to be later than the branch's ({date})", "GRAD-20"),
    "mark_unknown":          Kind(422, "标记类别不正确", "No such mark", "GRAD-16"),
    "branch_not_direct":     Kind(422, "该团支部存在,但不是您的直属下级,请由其直属上级“{superior}”导入", "The branch exists, but not directly below you; its superior {superior} imports", "IMP-11"),
    "branch_misnamed":       Kind(422, "没有名为“{name}”的团支部,请按组织全称填写", "No branch is called {name}; write its full name", "IMP-11"),
    "branch_unknown":        Kind(422, "未找到该团支部", "No such branch", "ORG-04"),
    # the machinery
    "command_taken":         Kind(409, "该请求编号已被他人使用,请刷新页面后重新提交", "Somebody else's call has this number; load the page anew and send it again"),
    "unavailable":           Kind(503, "服务暂时不可用,请稍后重试;重试不会重复办理", "The service does not answer; try again, nothing is done twice"),
    "internal":              Kind(500, "系统内部错误,请把请求编号告知管理员", "Internal error; tell an administrator the request id"),
}
# fmt: on

_BOTH = "¦"


def both(zh: str, en: str) -> str:
    """Return a value of a refusal that has words in both languages."""
    return f"{zh}{_BOTH}{en}"


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
        if language == "zh":
            return self.kind.zh.format_map(
                {name: value.split(_BOTH)[0] for name, value in self.values.items()}
            )
        return self.kind.en.format_map(
            {name: FIELDS.get(value, value.split(_BOTH)[-1]) for name, value in self.values.items()}
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
