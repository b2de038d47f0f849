from system import world
from tests.system.api import CLASS, COLLEGE
from pathlib import Path
OUT=Path('/tmp/find_shots'); OUT.mkdir(exist_ok=True)
def test_shots(visit, town):
    for width in (1440, 360):
        v=visit(world.administrator_of(COLLEGE), width); p=v.page
        def shot(path, name, act=None):
            p.goto(v.site+path); p.wait_for_load_state('networkidle')
            if act: act(); p.wait_for_load_state('networkidle'); p.wait_for_timeout(700)
            over=p.evaluate("document.documentElement.scrollWidth")
            print(name,width,over)
            p.screenshot(path=str(OUT/f'{name}_{width}.png'), full_page=True, clip={"x":0,"y":0,"width":width,"height":min(1500,p.evaluate("document.documentElement.scrollHeight"))})
        shot('/orgs','orgs')
        shot('/orgs','orgs_found', lambda: p.locator('#text').press_sequentially('软工1班'))
        shot(f'/orgs/{CLASS}','one')
        shot(f'/orgs/{CLASS}/delete','delete')
        shot('/orgs/new','new')
        shot(f'/out?branch={CLASS}','out', lambda: p.locator('#target_text').press_sequentially('浙大计算机'))
        def walk():
            p.click('summary:has-text("逐级选择")'); p.click('button:has-text("从最上级开始")'); p.wait_for_timeout(800); p.click('button[aria-label="湖北省团委的下级"]')
            p.wait_for_timeout(500); p.select_option('#place_division_1','42'); p.wait_for_timeout(500); p.select_option('#place_division_2','4201')
        shot(f'/out?branch={CLASS}','walk', walk)
        shot('/graduation','graduation'); shot('/posts','posts'); shot('/check','check'); shot('/migrations','migrations')
