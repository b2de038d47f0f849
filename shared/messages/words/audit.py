"""What the audit log knows to have happened (BEY-10)."""

from __future__ import annotations

from shared.messages.words.code import Code


# A kind a line: the list is read as a glossary.
# fmt: off
class AuditKind(Code):
    """What a line of the audit log says to have happened; what stands before the dot groups the kinds."""

    # organisations
    ORG_CREATED             = "org.created", "新建组织", "Organisation created"
    ORG_EDITED              = "org.edited", "修改组织", "Organisation edited"
    ORG_DELETED             = "org.deleted", "删除组织", "Organisation deleted"
    ORG_RESTORED            = "org.restored", "恢复组织", "Organisation restored"
    ORG_GRADUATED           = "org.graduated", "转为毕业生团组织", "Became a graduates' organisation"
    ORG_REOPENED            = "org.reopened", "恢复为普通团支部", "Ordinary branch again"
    ORG_MOVED               = "org.moved", "变更上级组织", "Superior changed"
    ORG_LOADED              = "org.loaded", "导入组织树", "Tree loaded"
    RIGHT_GIVEN             = "right.given", "授予管理权限", "Right given"
    RIGHT_REVOKED           = "right.revoked", "撤销管理权限", "Right revoked"
    MIGRATION_REQUESTED     = "migration.requested", "申请组织迁移", "Migration requested"
    MIGRATION_AGREED        = "migration.agreed", "原上级同意迁移", "Migration agreed by the old superior"
    MIGRATION_APPROVED      = "migration.approved", "批准组织迁移", "Migration approved"
    MIGRATION_REJECTED      = "migration.rejected", "驳回组织迁移", "Migration rejected"
    MIGRATION_WITHDRAWN     = "migration.withdrawn", "撤销组织迁移", "Migration withdrawn"
    MIGRATION_RETURNED      = "migration.returned", "退回组织迁移", "Migration returned"
    # members
    MEMBER_ENTERED          = "member.entered", "录入团员", "Members entered"
    MEMBER_EDITED           = "member.edited", "修改团员资料", "Member edited"
    MEMBER_MARKED           = "member.marked", "标记团员毕业信息", "Member marked"
    MEMBER_DELETED          = "member.deleted", "删除团员", "Member deleted"
    MEMBER_REPORTED         = "member.reported", "上报删除", "Deletion asked for"
    BRANCH_MARKED           = "branch.marked", "标记团支部毕业时间", "Branch marked"
    ADMINISTRATOR_FIRST     = "administrator.first", "设立首位管理员", "First administrator made"
    POST_GIVEN              = "post.given", "任职", "Post given"
    POST_ENDED              = "post.ended", "免职", "Post ended"
    CODE_REGISTRATION       = "code.registration", "生成管理员注册码", "Registration code issued"
    CODE_REDEEMED           = "code.redeemed", "使用管理员注册码", "Registration code used"
    CODE_RESET              = "code.reset", "生成密码重置验证码", "Reset code issued"
    CODE_RESET_USED         = "code.reset_used", "凭验证码重置密码", "Reset code used"
    REGISTRATION_ASKED      = "registration.asked", "申请注册", "Registration asked for"
    REGISTRATION_ACCEPTED   = "registration.accepted", "接收注册", "Registration accepted"
    REGISTRATION_REJECTED   = "registration.rejected", "驳回注册", "Registration rejected"
    REGISTRATION_WITHDRAWN  = "registration.withdrawn", "撤销注册", "Registration withdrawn"
    REGISTRATION_EXPIRED    = "registration.expired", "注册申请过期", "Registration expired"
    RETENTION_REQUESTED     = "retention.requested", "申请保留组织关系", "Retention requested"
    RETENTION_APPROVED      = "retention.approved", "批准保留组织关系", "Retention approved"
    RETENTION_REFUSED       = "retention.refused", "不同意保留组织关系", "Retention refused"
    RETENTION_ENDED         = "retention.ended", "结束保留组织关系", "Retention ended"
    RETENTION_REPORTED      = "retention.reported", "保留期间报告", "Report on who stays"
    LETTER_ISSUED           = "letter.issued", "开具介绍信", "Letter issued"
    LETTER_VOIDED           = "letter.voided", "作废介绍信", "Letter voided"
    IMPORT_STARTED          = "import.started", "上传名单", "Roster handed over"
    VIEW_UNMASKED           = "view.unmasked", "查看完整身份证号码", "ID numbers seen in full"
    VIEW_LOOKED_UP          = "view.looked_up", "按姓名和身份证号查询", "Looked up by name and ID number"
    VIEW_SEARCHED           = "view.searched", "全局搜索团员", "Members searched for"
    VIEW_FAILURES           = "view.failures", "查看导入失败行", "Failed rows of a roster seen"
    EXPORT_MEMBERS          = "export.members", "导出团员", "Members exported"
    EXPORT_FULL             = "export.full", "导出团员(完整号码)", "Members exported with full numbers"
    EXPORT_FILE             = "export.file", "下载表格", "List taken as a file"
    # transfers
    BULK_STARTED            = "bulk.started", "批量办理", "Bulk decision started"
    BULK_STOPPED            = "bulk.stopped", "停止批量办理", "Bulk decision stopped"
    ADDRESS_ADDED           = "address.added", "登记通知地址", "Address to be told added"
    ADDRESS_ENDED           = "address.ended", "停用通知地址", "Address to be told switched off"
    POLICY_APPLIED          = "policy.applied", "启用时限政策", "Season policy applied"
    POLICY_OPENED           = "policy.opened", "时限政策用于在办业务", "Season policy applied to open nodes"
    TRAIL_SEALED            = "trail.sealed", "封存转接轨迹", "Trails of transfers sealed"
# fmt: on
