"""What the audit log knows to have happened (BEY-10)."""

from __future__ import annotations

from shared.messages.words.code import Code


# A kind a line: the list is read as a glossary.
# fmt: off
class AuditKind(Code):
    """What a line of the audit log says to have happened; what stands before the dot groups the kinds."""

    # organisations
    ORG_CREATED             = "org.created", "新建组织"
    ORG_EDITED              = "org.edited", "修改组织"
    ORG_DELETED             = "org.deleted", "删除组织"
    ORG_RESTORED            = "org.restored", "恢复组织"
    ORG_GRADUATED           = "org.graduated", "转为毕业生团组织"
    ORG_REOPENED            = "org.reopened", "恢复为普通团支部"
    ORG_MOVED               = "org.moved", "变更上级组织"
    ORG_LOADED              = "org.loaded", "导入组织树"
    RIGHT_GIVEN             = "right.given", "授予管理权限"
    RIGHT_REVOKED           = "right.revoked", "撤销管理权限"
    MIGRATION_REQUESTED     = "migration.requested", "申请组织迁移"
    MIGRATION_AGREED        = "migration.agreed", "原上级同意迁移"
    MIGRATION_APPROVED      = "migration.approved", "批准组织迁移"
    MIGRATION_REJECTED      = "migration.rejected", "驳回组织迁移"
    MIGRATION_WITHDRAWN     = "migration.withdrawn", "撤销组织迁移"
    MIGRATION_RETURNED      = "migration.returned", "退回组织迁移"
    # members
    MEMBER_ENTERED          = "member.entered", "录入团员"
    MEMBER_EDITED           = "member.edited", "修改团员资料"
    MEMBER_MARKED           = "member.marked", "标记团员毕业信息"
    MEMBER_DELETED          = "member.deleted", "删除团员"
    MEMBER_REPORTED         = "member.reported", "上报删除"
    BRANCH_MARKED           = "branch.marked", "标记团支部毕业时间"
    ADMINISTRATOR_FIRST     = "administrator.first", "设立首位管理员"
    POST_GIVEN              = "post.given", "任职"
    POST_ENDED              = "post.ended", "免职"
    CODE_REGISTRATION       = "code.registration", "生成管理员注册码"
    CODE_REDEEMED           = "code.redeemed", "使用管理员注册码"
    CODE_RESET              = "code.reset", "生成密码重置验证码"
    CODE_RESET_USED         = "code.reset_used", "凭验证码重置密码"
    REGISTRATION_ASKED      = "registration.asked", "申请注册"
    REGISTRATION_ACCEPTED   = "registration.accepted", "接收注册"
    REGISTRATION_REJECTED   = "registration.rejected", "驳回注册"
    REGISTRATION_WITHDRAWN  = "registration.withdrawn", "撤销注册"
    REGISTRATION_EXPIRED    = "registration.expired", "注册申请过期"
    RETENTION_REQUESTED     = "retention.requested", "申请保留组织关系"
    RETENTION_APPROVED      = "retention.approved", "批准保留组织关系"
    RETENTION_REFUSED       = "retention.refused", "不同意保留组织关系"
    RETENTION_ENDED         = "retention.ended", "结束保留组织关系"
    RETENTION_REPORTED      = "retention.reported", "保留期间报告"
    LETTER_ISSUED           = "letter.issued", "开具介绍信"
    LETTER_VOIDED           = "letter.voided", "作废介绍信"
    LETTER_PRINTED          = "letter.printed", "补打介绍信"
    IMPORT_STARTED          = "import.started", "上传名单"
    VIEW_UNMASKED           = "view.unmasked", "查看完整身份证号码"
    VIEW_LOOKED_UP          = "view.looked_up", "按姓名和身份证号查询"
    VIEW_SEARCHED           = "view.searched", "全局搜索团员"
    VIEW_FAILURES           = "view.failures", "查看导入失败行"
    EXPORT_MEMBERS          = "export.members", "导出团员"
    EXPORT_FULL             = "export.full", "导出团员(完整号码)"
    EXPORT_FILE             = "export.file", "下载表格"
    # transfers
    BULK_STARTED            = "bulk.started", "批量办理"
    BULK_STOPPED            = "bulk.stopped", "停止批量办理"
    ADDRESS_ADDED           = "address.added", "登记通知地址"
    ADDRESS_ENDED           = "address.ended", "停用通知地址"
    POLICY_APPLIED          = "policy.applied", "启用时限政策"
    POLICY_OPENED           = "policy.opened", "时限政策用于在办业务"
    TRAIL_SEALED            = "trail.sealed", "封存转接轨迹"
# fmt: on
