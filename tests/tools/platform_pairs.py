"""Pairs of a log and its reviews as twenty platforms would name and write them, for `errdetect init`.

Each function returns log, reviews, what their columns are (several answers joined by |), file names and dialect.
"""

import gzip
import uuid
from pathlib import Path

import numpy as np
import pandas as pd

N = 1_200


# fmt: off
def base(seed, policies, rate=0.2):
    r = np.random.default_rng(seed)
    t = pd.Timestamp("2026-02-01") + pd.to_timedelta(np.sort(r.integers(0, 60 * 86_400, N)), unit="s")
    p = np.sort(r.choice(N, 400, replace=False))
    rt = t[p] + pd.to_timedelta(r.integers(7200, 400_000, 400), unit="s")
    s = r.beta(2, 2, N).round(4)
    return r, t, p, rt, s, s > 0.6, r.choice(policies, N), r.random(400) < rate


def comma(values, digits=2):
    return [f"{v:.{digits}f}".replace(".", ",") for v in values]


def serial(t):
    return ((t - pd.Timestamp("1899-12-30")) / pd.Timedelta(days=1)).values.round(6)


def words(r, text, k=8):
    return [" ".join(r.choice(text.split(), k)) for _ in range(N)]


def forum():
    r,t,p,rt,s,e,pol,w=base(1,["R1 Spam","R2 Be civil","R5 Doxxing","R7 NSFW"])
    log=pd.DataFrame({"log_id":np.arange(88001,88001+N),"log_time":(t.astype("int64")//10**(9 if str(t.dtype).endswith("ns]") else 6)),"post_id":r.integers(10**6,10**7,N),"thread_id":r.integers(1,400,N),
     "poster_id":r.integers(1,300,N),"automod_rule":pol,"automod_action":np.where(e,r.choice(["delete","hold"],N),"allow"),"spam_probability":s,"forum_name":r.choice(["Off-topic","Hardware","Trading"],N),"post_excerpt":words(r,"hello this is a post about cards and prices you should buy now")})
    rev=pd.DataFrame({"log_id":log.log_id[p].values,"reviewed_by":r.choice(["kat","joost","mo","lena"],400),"reviewed_on":rt.strftime("%Y-%m-%d %H:%M"),"agree_with_automod":np.where(w,"no","yes"),"mod_notes":""})
    return log,rev,dict(log_id="decision_id",log_time="decided_at",post_id="item_id",poster_id="account_id",automod_rule="policy_id",automod_action="action",spam_probability="score",forum_name="category",post_excerpt="text"),dict(log_id="decision_id",reviewed_by="reviewer_id",reviewed_on="reviewed_at",agree_with_automod="verdict"),"log.csv","flags.csv",{}


def ads():
    r,t,p,rt,s,e,pol,w=base(2,["Misleading claims","Adult content","Gambling","Restricted financial"])
    cid=[f"cr_{i:07d}" for i in r.choice(10**7,N,replace=False)]
    log=pd.DataFrame({"creative_id":cid,"advertiser_id":r.integers(500,800,N),"campaign_id":r.integers(10**5,10**6,N),"review_completed_ts":t.strftime("%Y-%m-%dT%H:%M:%S.000Z"),"disapproval_reason":pol,
      "final_status":np.where(e,"DISAPPROVED","APPROVED"),"model_risk":(100*s).round(1),"geo_target":r.choice(["US","GB","DE","IN"],N),"spend_usd":r.gamma(1,500,N).round(2),"ad_copy":words(r,"win big now the best loan you will ever find click here today")})
    rev=pd.DataFrame({"Creative":np.array(cid)[p],"QA date":rt.normalize(),"QA outcome":np.where(w,r.choice(["Over-enforced","Under-enforced"],400),"Correct"),"Rater":r.choice(["RT-01","RT-02","RT-09"],400),"Vendor":r.choice(["Genpact HYD","TP Lisbon"],400)})
    return log,rev,dict(creative_id="decision_id|item_id",advertiser_id="account_id",review_completed_ts="decided_at",disapproval_reason="policy_id",final_status="action",model_risk="score",geo_target="market",spend_usd="exposure",ad_copy="text"),{"Creative":"decision_id","QA date":"reviewed_at","QA outcome":"verdict","Rater":"reviewer_id","Vendor":"site"},"ads.csv","qa.xlsx",{}


def german():
    r,t,p,rt,s,e,pol,w=base(3,["Produktfälschung","Jugendschutz","Waffen","Irreführende Angaben"])
    log=pd.DataFrame({"Prüffall-Nr.":[f"PF{i:06d}" for i in range(N)],"Prüfzeitpunkt (automatisch)":t.strftime("%d.%m.%Y %H:%M:%S"),"Angebotsnummer":r.integers(10**8,10**9,N),"Händlernummer":r.integers(2000,2300,N),"Verstoßkategorie":pol,
      "Systementscheidung":np.where(e,"Abgelehnt","Freigegeben"),"Trefferwahrscheinlichkeit in %":comma(100*s,1),"Marktplatz":r.choice(["DE","AT","CH"],N),"Warengruppe":r.choice(["Mode","Elektronik","Garten"],N),"GMV letzte 30 Tage":comma(r.gamma(1,300,N)),"Angebotstitel":words(r,"schöne neue Lampe für den Garten mit Solar aus Metall große Auswahl",5)})
    rev=pd.DataFrame({"Prüffall-Nr.":log["Prüffall-Nr."][p].values,"Stichprobe vom":rt.strftime("%d.%m.%Y"),"Bewertung Mensch":np.where(w,"Fehlentscheidung","korrekt"),"Bearbeiter/in":r.choice(["Müller","Öztürk","Weiß"],400),"Dienstleister":r.choice(["Majorel","Arvato"],400),"Auswahlwahrscheinlichkeit":"10 %"})
    return log,rev,{"Prüffall-Nr.":"decision_id","Prüfzeitpunkt (automatisch)":"decided_at","Angebotsnummer":"item_id","Händlernummer":"account_id","Verstoßkategorie":"policy_id","Systementscheidung":"action","Trefferwahrscheinlichkeit in %":"score","Marktplatz":"market","Warengruppe":"category","GMV letzte 30 Tage":"exposure","Angebotstitel":"text"},{"Prüffall-Nr.":"decision_id","Stichprobe vom":"reviewed_at","Bewertung Mensch":"verdict","Bearbeiter/in":"reviewer_id","Dienstleister":"site","Auswahlwahrscheinlichkeit":"inclusion_probability"},"angebote.txt","pruefung.xlsx",dict(sep="\t",enc="utf-16")


def appstore():
    r,t,p,rt,s,e,pol,w=base(4,["1.1.4","2.3.1","3.1.1","5.2.1"])
    ids=[str(uuid.UUID(int=int(x))) for x in r.integers(1,2**62,N)]
    log=pd.DataFrame({"submission_uuid":ids,"bundle_id":[f"com.dev{i%200}.app{i}" for i in range(N)],"developer_id":r.integers(1,250,N),"scan_finished_at":t.strftime("%Y-%m-%d %H:%M:%S+00:00"),"guideline":pol,"automated_outcome":np.where(e,"REJECT","PASS"),"malware_confidence":s,"storefront":r.choice(["US","JP","BR","FR"],N),"downloads_30d":r.integers(0,10**5,N),"app_description":words(r,"a fun puzzle game for all the family with ads and coins"),"scanner_build":r.choice(["2026.1","2026.2"],N)})
    rev=pd.DataFrame({"appeal_ref":[f"AP-{i}" for i in range(400)],"submission_uuid":np.array(ids)[p],"resolved_at":rt.strftime("%Y-%m-%d %H:%M:%S+00:00"),"appeal_outcome":np.where(w,"granted","denied"),"specialist":r.choice(["s1","s2","s3"],400)})
    return log,rev,dict(submission_uuid="decision_id",bundle_id="item_id",developer_id="account_id",scan_finished_at="decided_at",guideline="policy_id",automated_outcome="action",malware_confidence="score",storefront="market",downloads_30d="exposure",app_description="text",scanner_build="moderator_version"),dict(appeal_ref="review_id",submission_uuid="decision_id",resolved_at="reviewed_at",appeal_outcome="verdict",specialist="reviewer_id"),"subs.parquet","appeals.csv",{}


def game():
    r,t,p,rt,s,e,pol,w=base(5,["insult","slur","threat","cheating_ad"])
    g=[f"{x:016x}" for x in r.integers(1,2**62,N)]
    log=pd.DataFrame({"msg_guid":g,"ts_ms":t.astype("datetime64[ms]").astype("int64"),"player_tag":[f"Player#{x}" for x in r.integers(1000,1300,N)],"lobby":r.integers(1,99,N),"lang":r.choice(["en","de","ko"],N),"chat_line":words(r,"noob lol gg you are so bad uninstall the game report mid please"),"tox_category":pol,"tox_score":s,"sanction":np.where(e,r.choice(["MUTE","KICK","BAN_24H"],N),"NONE"),"ruleset_rev":r.choice(["r41","r42"],N),"shard_region":r.choice(["EU","NA","KR"],N)})
    rev=pd.DataFrame({"msg_guid":np.array(g)[p],"checked_utc":rt.strftime("%Y-%m-%dT%H:%M:%SZ"),"gm_name":r.choice(["gm_ana","gm_bo"],400),"gm_call":np.where(w,"BAD_CALL","GOOD_CALL"),"handling_secs":r.integers(5,90,400)})
    return log,rev,dict(msg_guid="decision_id",ts_ms="decided_at",player_tag="account_id",lang="language",chat_line="text",tox_category="policy_id",tox_score="score",sanction="action",ruleset_rev="moderator_version",shard_region="market"),dict(msg_guid="decision_id",checked_utc="reviewed_at",gm_name="reviewer_id",gm_call="verdict",handling_secs="minutes"),"chat.jsonl","gm.json",{}


def french():
    r,t,p,rt,s,e,pol,w=base(6,["Contrefaçon","Animaux interdits","Annonce trompeuse","Armes"])
    log=pd.DataFrame({"N° dossier":[f"2026-{i:05d}" for i in range(N)],"Date/heure de la décision":t.strftime("%d/%m/%Y %H:%M"),"Réf. annonce":r.integers(10**6,10**7,N),"ID annonceur":r.integers(1,300,N),"Motif de refus":pol,"Décision automatique":np.where(e,"Refusée","Publiée"),"Indice de confiance":comma(s,3),"Pays":r.choice(["FR","BE","LU"],N),"Rubrique":r.choice(["Auto","Maison","Mode"],N),"Nb de vues":r.integers(0,5000,N),"Texte de l'annonce":words(r,"belle voiture occasion très bon état prix à débattre région parisienne")})
    rev=pd.DataFrame({"N° dossier":log["N° dossier"][p].values,"Date de contrôle":serial(rt.normalize()).astype(int),"Jugement":np.where(w,"Mauvaise décision","Bonne décision"),"Contrôleur":r.choice(["A. Petit","B. Roux"],400),"Prestataire":r.choice(["Webhelp","Concentrix"],400),"Motif corrigé":np.where(w&(r.random(400)<.4),"Armes",None)})
    return log,rev,{"N° dossier":"decision_id","Date/heure de la décision":"decided_at","Réf. annonce":"item_id","ID annonceur":"account_id","Motif de refus":"policy_id","Décision automatique":"action","Indice de confiance":"score","Pays":"market","Rubrique":"category","Nb de vues":"exposure","Texte de l'annonce":"text"},{"N° dossier":"decision_id","Date de contrôle":"reviewed_at","Jugement":"verdict","Contrôleur":"reviewer_id","Prestataire":"site","Motif corrigé":"correct_policy_id"},"annonces.csv","controle.xlsx",dict(sep=";",enc="utf-16")


def video():
    r,t,p,rt,s,e,pol,w=base(7,["CHILD_SAFETY","HARASSMENT","SPAM_DECEPTIVE","VIOLENT_GRAPHIC"])
    v=[f"v{x:011d}" for x in r.choice(10**9,N,replace=False)]
    log=pd.DataFrame({"videoId":v,"channelId":[f"UC{x}" for x in r.integers(100,400,N)],"actionTimestamp":t.strftime("%Y-%m-%dT%H:%M:%SZ"),"strikePolicy":pol,"enforcementType":np.where(e,r.choice(["AGE_RESTRICT","TAKEDOWN"],N),"NO_ACTION"),"classifierScore":s,"operatingThreshold":.6,"uploadCountry":r.choice(["US","IN","BR"],N),"viewsAtAction":r.integers(0,10**6,N),"videoTitle":words(r,"top ten funny cats compilation part two live reaction",6),"audioLanguage":r.choice(["en","hi","pt"],N),"durationSec":r.integers(10,4000,N)})
    rev=pd.DataFrame({"appealId":np.arange(1,401),"videoId":np.array(v)[p],"appealFiledAt":(rt-pd.Timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),"appealResolvedAt":rt.strftime("%Y-%m-%dT%H:%M:%SZ"),"appealDecision":np.where(w,"REINSTATED","STANDS"),"resolverId":r.choice(["u11","u12","u13"],400)})
    return log,rev,dict(videoId="decision_id|item_id",channelId="account_id",actionTimestamp="decided_at",strikePolicy="policy_id",enforcementType="action",classifierScore="score",operatingThreshold="threshold",uploadCountry="market",viewsAtAction="exposure",videoTitle="text",audioLanguage="language"),dict(appealId="review_id",videoId="decision_id",appealResolvedAt="reviewed_at",appealDecision="verdict",resolverId="reviewer_id"),"v.jsonl","a.jsonl",{}


def dating():
    r,t,p,rt,s,e,pol,w=base(8,["nudez","golpe","menor de idade","ofensa"])
    log=pd.DataFrame({"protocolo":[f"{i:08d}" for i in range(N)],"data_hora":t.strftime("%d/%m/%Y %H:%M:%S"),"perfil_id":r.integers(1,300,N),"foto_id":r.integers(10**6,10**7,N),"tipo_violacao":pol,"decisao_ia":np.where(e,"Bloqueado","Liberado"),"confianca_ia":comma(s,3),"pais":r.choice(["BR","PT"],N),"idioma":"pt","versao_modelo":r.choice(["v3.1","v3.2"],N)})
    rev=pd.DataFrame({"protocolo":log.protocolo[p].values,"dt_auditoria":rt.strftime("%d/%m/%Y"),"auditor":r.choice(["Ana","Rui","Zé"],400),"decisao_correta":np.where(w,"N","S"),"unidade":r.choice(["Recife","Porto"],400),"tempo_min":comma(r.uniform(1,5,400),1)})
    return log,rev,dict(protocolo="decision_id",data_hora="decided_at",perfil_id="account_id",foto_id="item_id",tipo_violacao="policy_id",decisao_ia="action",confianca_ia="score",pais="market",idioma="language",versao_modelo="moderator_version"),dict(protocolo="decision_id",dt_auditoria="reviewed_at",auditor="reviewer_id",decisao_correta="verdict",unidade="site",tempo_min="minutes"),"fotos.csv","auditoria.csv",dict(sep=";",enc="cp1252")


def dutch():
    r,t,p,rt,s,e,pol,w=base(9,["nepreview","belediging","reclame","privacy"])
    log=pd.DataFrame({"meldingsnr":np.arange(5000,5000+N),"tijdstip":t.strftime("%d-%m-%Y %H:%M"),"recensie_id":r.integers(10**5,10**6,N),"gebruiker":r.integers(1,300,N),"schending":pol,"besluit":np.where(e,"verwijderd","toegestaan"),"zekerheid":comma(100*s,1),"land":r.choice(["NL","BE"],N),"recensietekst":words(r,"lekker eten maar de bediening was traag en de prijs te hoog")})
    rev=pd.DataFrame({"meldingsnr":log.meldingsnr[p].values,"controledatum":rt.strftime("%d-%m-%Y"),"controleur":r.choice(["jan","fatima"],400),"oordeel":np.where(w,"onterecht","terecht"),"locatie":r.choice(["Utrecht","Gent"],400)})
    return log,rev,dict(meldingsnr="decision_id",tijdstip="decided_at",recensie_id="item_id",gebruiker="account_id",schending="policy_id",besluit="action",zekerheid="score",land="market",recensietekst="text"),dict(meldingsnr="decision_id",controledatum="reviewed_at",controleur="reviewer_id",oordeel="verdict",locatie="site"),"rec.csv","controle.csv",dict(sep=";")


def social():
    r,t,p,rt,s,e,pol,w=base(10,["Hate Speech","Bullying & Harassment","Fraud & Scams","Self-Harm"])
    log=pd.DataFrame({"Record ID":[f"REC{i:07d}" for i in range(N)],"Enforced At (PT)":t.strftime("%m/%d/%Y %I:%M %p"),"Content ID":r.integers(10**14,10**15,N),"Actor ID":r.integers(10**5,10**5+300,N),"Violation Type":pol,"Enforcement Action":np.where(e,r.choice(["Delete","Disable Feature"],N),"Ignore"),"Model Score":s,"Locale":r.choice(["en_US","es_MX","pt_BR"],N),"VPV":r.integers(0,10**5,N),"Surface":r.choice(["Feed","Groups","Comments"],N)})
    rev=pd.DataFrame({"Record ID":log["Record ID"][p].values,"Audit Completed":serial(rt),"Auditor":r.choice(["A12","A15","A33"],400),"Site":r.choice(["AUS","MNL","DUB"],400),"Agree? (Y/N)":np.where(w,"N","Y"),"If N, correct label":np.where(w&(r.random(400)<.3),"Self-Harm",None),"AHT (sec)":r.integers(10,300,400),"Job Type":r.choice(["Random Sample","Appeal"],400)})
    return log,rev,{"Record ID":"decision_id","Enforced At (PT)":"decided_at","Content ID":"item_id","Actor ID":"account_id","Violation Type":"policy_id","Enforcement Action":"action","Model Score":"score","Locale":"language","VPV":"exposure","Surface":"item_type|category"},{"Record ID":"decision_id","Audit Completed":"reviewed_at","Auditor":"reviewer_id","Site":"site","Agree? (Y/N)":"verdict","If N, correct label":"correct_policy_id","AHT (sec)":"minutes","Job Type":"source"},"log.xlsx","QA Week 12.xlsx",dict(title="Confidential - QA export")


def jobs():
    r,t,p,rt,s,e,pol,w=base(21,["Fake job","Discrimination","MLM","Contact details in ad"])
    log=pd.DataFrame({"Screening #":np.arange(700,700+N),"Screened\nat":t.strftime("%Y/%m/%d %H:%M"),"Job posting ID":r.integers(10**5,10**6,N),"Employer":[f"Co {x}" for x in r.integers(1,250,N)],"Matched rule":pol,"Auto decision":np.where(e,"Held back","Published"),"Confidence (%)":(100*s).round().astype(int),"Country":r.choice(["Germany","Austria"],N),"Industry":r.choice(["IT","Care"],N),"Applications":r.integers(0,50,N),"Headline":words(r,"senior nurse wanted full time remote work from home good pay",6)})
    rev=pd.DataFrame({"Screening #":log["Screening #"][p].values,"Checked on":rt.strftime("%Y/%m/%d"),"Checked by":r.choice(["AB","CD","EF"],400),"Was the machine right?":np.where(w,"No","Yes"),"Reason if not":""})
    return log,rev,{"Screening #":"decision_id","Screened\nat":"decided_at","Job posting ID":"item_id","Employer":"account_id","Matched rule":"policy_id","Auto decision":"action","Confidence (%)":"score","Country":"market","Industry":"category","Applications":"exposure","Headline":"text"},{"Screening #":"decision_id","Checked on":"reviewed_at","Checked by":"reviewer_id","Was the machine right?":"verdict"},"jobs.csv","check.csv",{}


def hotel():
    r,t,p,rt,s,e,pol,w=base(22,["fake_review","profanity","off_topic","competitor"])
    log=pd.DataFrame({"review_hash":[f"{x:012x}" for x in r.integers(1,2**46,N)],"ingested_at":(t-pd.Timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S"),"verdict_at":t.strftime("%Y-%m-%dT%H:%M:%S"),"property_id":r.integers(1,300,N),"guest_id":r.integers(1,900,N),"reject_reason":pol,"verdict":np.where(e,"rejected","accepted"),"p_fake":s,"cutoff":0.6,"lang_iso":r.choice(["en","de","es"],N),"review_body":words(r,"the room was dirty and the staff very rude but breakfast good"),"pipeline":"rev-guard"})
    rev=pd.DataFrame({"review_hash":log.review_hash[p].values,"moderated_at":rt.strftime("%Y-%m-%dT%H:%M:%S"),"moderator":r.choice(["m1","m2","m3"],400),"final_verdict":np.where(w,"machine_wrong","machine_right"),"seconds_spent":r.integers(5,300,400)})
    return log,rev,dict(review_hash="decision_id|item_id",verdict_at="decided_at",property_id="item_id",guest_id="account_id",reject_reason="policy_id",verdict="action",p_fake="score",cutoff="threshold",lang_iso="language",review_body="text",pipeline="moderator"),dict(review_hash="decision_id",moderated_at="reviewed_at",moderator="reviewer_id",final_verdict="verdict",seconds_spent="minutes"),"reviews_log.csv.gz","final.csv",{}


def livestream():
    r,t,p,rt,s,e,pol,w=base(23,["nudity","violence","minor_safety","ip"])
    log=pd.DataFrame({"incidentId":[f"INC-{i}" for i in range(N)],"triggeredAt":(t.astype("datetime64[s]").astype("int64")),"streamId":r.integers(10**8,10**9,N),"broadcasterId":r.integers(1,300,N),"modelName":"vision","modelVersion":r.choice(["7.1","7.2"],N),"topLabel":pol,"topLabelConfidence":s,"decision":np.where(e,r.choice(["INTERRUPT","SHADOW"],N),"CONTINUE"),"countryCode":r.choice(["TH","VN","ID"],N),"concurrentViewers":r.integers(1,5000,N)})
    rev=pd.DataFrame({"incidentId":log.incidentId[p].values,"labelledAt":rt.strftime("%Y-%m-%d %H:%M:%S"),"annotator":r.choice(["an1","an2"],400),"isCorrect":~w,"workforce":r.choice(["inhouse","vendorX"],400)})
    return log,rev,dict(incidentId="decision_id",triggeredAt="decided_at",streamId="item_id",broadcasterId="account_id",modelName="moderator",modelVersion="moderator_version",topLabel="policy_id",topLabelConfidence="score",decision="action",countryCode="market",concurrentViewers="exposure"),dict(incidentId="decision_id",labelledAt="reviewed_at",annotator="reviewer_id",isCorrect="verdict",workforce="site"),"inc.jsonl","lab.parquet",{}


def mexican():
    r,t,p,rt,s,e,pol,w=base(24,["Fraude","Contenido sexual","Armas","Réplica"])
    log=pd.DataFrame({"Folio":[f"{i:07d}" for i in range(N)],"Fecha y hora":t.strftime("%d/%m/%Y %H:%M"),"Publicación":r.integers(10**6,10**7,N),"Vendedor":r.integers(1,300,N),"Causa":pol,"Dictamen automático":np.where(e,"Baja","Activa"),"% certeza":comma(100*s,1),"Entidad":r.choice(["CDMX","Jalisco"],N),"Giro":r.choice(["Autos","Hogar"],N),"Visitas":r.integers(0,3000,N),"Descripción corta":words(r,"vendo coche en buen estado unico dueño precio negociable ciudad",6)})
    rev=pd.DataFrame({"Folio":log.Folio[p].values,"Revisado el":rt.strftime("%d/%m/%Y"),"Quién revisó":r.choice(["Luz","Iván"],400),"¿Procedió?":np.where(w,"No","Sí"),"Call center":r.choice(["Atento","Teleperformance"],400)})
    return log,rev,{"Folio":"decision_id","Fecha y hora":"decided_at","Publicación":"item_id","Vendedor":"account_id","Causa":"policy_id","Dictamen automático":"action","% certeza":"score","Giro":"category","Visitas":"exposure","Descripción corta":"text"},{"Folio":"decision_id","Revisado el":"reviewed_at","Quién revisó":"reviewer_id","Call center":"site"},"bajas.xlsx","revisiones.xlsx",dict(title="x")


def polish_offers():
    r,t,p,rt,s,e,pol,w=base(25,["podróbka","broń","spam","treści erotyczne"])
    log=pd.DataFrame({"Nr zgłoszenia":[f"Z/{i}/26" for i in range(N)],"Data decyzji":t.strftime("%d.%m.%Y %H:%M"),"Nr oferty":r.integers(10**9,10**10,N),"Login sprzedającego":[f"sklep{x}" for x in r.integers(1,250,N)],"Powód":pol,"Decyzja systemu":np.where(e,"odrzucona","dopuszczona"),"Pewność modelu":comma(s,3),"Kategoria oferty":r.choice(["Moda","Dom"],N),"Odsłony":r.integers(0,900,N),"Tytuł oferty":words(r,"nowa torebka skórzana oryginalna damska czarna duża promocja",5)})
    rev=pd.DataFrame({"Nr zgłoszenia":log["Nr zgłoszenia"][p].values,"Data kontroli":rt.strftime("%d.%m.%Y"),"Kontrolujący":r.choice(["AK","BN"],400),"Czy zasadna":np.where(w,"nie","tak"),"Zespół":r.choice(["Łódź","Gdańsk"],400)})
    return log,rev,{"Nr zgłoszenia":"decision_id","Data decyzji":"decided_at","Nr oferty":"item_id","Login sprzedającego":"account_id","Powód":"policy_id","Decyzja systemu":"action","Pewność modelu":"score","Kategoria oferty":"category","Odsłony":"exposure","Tytuł oferty":"text"},{"Nr zgłoszenia":"decision_id","Data kontroli":"reviewed_at","Kontrolujący":"reviewer_id","Czy zasadna":"verdict","Zespół":"site"},"oferty.csv","kontrola.csv",dict(sep=";",enc="utf-16")


def dwh():
    r,t,p,rt,s,e,pol,w=base(26,["P-101","P-204","P-310"])
    log=pd.DataFrame({"DECISION_SK":np.arange(1,N+1)*7+10**6,"DECISION_TS":t,"ENTITY_SK":r.integers(10**6,10**7,N),"CUST_SK":r.integers(1,300,N),"POLICY_CD":pol,"ACTION_CD":np.where(e,"RMV","KEEP"),"SCORE_VAL":s,"THRESHOLD_VAL":.6,"CTRY_CD":r.choice(["US","CA"],N),"LANG_CD":r.choice(["en","fr"],N),"VIEW_CNT":r.integers(0,10**5,N),"MODEL_NM":"clf-a","MODEL_VER_NBR":r.choice(["1","2"],N),"ETL_LOAD_DT":"2026-05-01"})
    rev=pd.DataFrame({"REVIEW_SK":np.arange(400),"DECISION_SK":log.DECISION_SK[p].values,"REVIEW_TS":rt,"REVIEWER_SK":r.integers(1,9,400),"RVW_TYPE_CD":r.choice(["QA","APPEAL"],400),"RVW_OUTCOME_CD":np.where(w,"OVERTURN","UPHOLD"),"SITE_CD":r.choice(["S1","S2"],400),"AHT_SEC":r.integers(9,99,400)})
    return log,rev,dict(DECISION_SK="decision_id",DECISION_TS="decided_at",ENTITY_SK="item_id",CUST_SK="account_id",POLICY_CD="policy_id",ACTION_CD="action",SCORE_VAL="score",THRESHOLD_VAL="threshold",CTRY_CD="market",LANG_CD="language",VIEW_CNT="exposure",MODEL_NM="moderator",MODEL_VER_NBR="moderator_version"),dict(REVIEW_SK="review_id",DECISION_SK="decision_id",REVIEW_TS="reviewed_at",REVIEWER_SK="reviewer_id",RVW_TYPE_CD="source",RVW_OUTCOME_CD="verdict",SITE_CD="site",AHT_SEC="minutes"),"d.parquet","r.parquet",{}


def crowd():
    r,t,p,rt,s,e,pol,w=base(27,["scam","impersonation","malware_link"])
    log=pd.DataFrame({"tweet_url":[f"https://x.test/{i}" for i in r.choice(10**8,N,replace=False)],"flagged_utc":t.strftime("%a %b %d %H:%M:%S +0000 %Y"),"handle":[f"@u{x}" for x in r.integers(1,300,N)],"label_assigned":pol,"action_applied":np.where(e,"limit_visibility","none"),"prob":s,"geo":r.choice(["US","NG"],N),"impressions_24h":r.integers(0,9999,N),"tweet_text":words(r,"free crypto airdrop click link now verify wallet send")})
    rev=pd.DataFrame({"tweet_url":log.tweet_url[p].values,"annot_ts":rt.strftime("%Y-%m-%d %H:%M:%S"),"annotator_id":r.integers(1,20,400),"agrees":np.where(w,0,1)})
    return log,rev,dict(tweet_url="decision_id|item_id",flagged_utc="decided_at",handle="account_id",label_assigned="policy_id",action_applied="action",prob="score",geo="market",impressions_24h="exposure",tweet_text="text"),dict(tweet_url="decision_id",annot_ts="reviewed_at",annotator_id="reviewer_id",agrees="verdict"),"t.csv","ann.tsv",{}


def bank():
    r,t,p,rt,s,e,pol,w=base(28,["AML keyword","Hate term","Sanctions"])
    log=pd.DataFrame({"Case Number":[f"CS-{i:05d}" for i in range(N)],"Decision Date":t.strftime("%d-%b-%Y"),"Decision Time":t.strftime("%H:%M:%S"),"Merchant":[f"M{x}" for x in r.integers(1,200,N)],"Policy Breached":pol,"Decision":np.where(e,"Decline","Accept"),"Risk Score (0-1000)":(1000*s).astype(int),"Region":r.choice(["EMEA","APAC"],N),"Order Value EUR":r.gamma(1,100,N).round(2)})
    rev=pd.DataFrame({"Case Number":log["Case Number"][p].values,"2nd line review date":rt.strftime("%d-%b-%Y"),"2nd line outcome":np.where(w,"Decision overturned","Decision upheld"),"2nd line analyst":r.choice(["JS","KP"],400)})
    return log,rev,{"Case Number":"decision_id","Decision Date":"decided_at","Merchant":"account_id","Policy Breached":"policy_id","Decision":"action","Risk Score (0-1000)":"score","Order Value EUR":"exposure"},{"Case Number":"decision_id","2nd line review date":"reviewed_at","2nd line outcome":"verdict","2nd line analyst":"reviewer_id"},"cases.xlsx","second.xlsx",{}


def music():
    r,t,p,rt,s,e,pol,w=base(29,["Explicit lyrics","Hate","Metadata abuse"])
    log=pd.DataFrame({"check_id":np.arange(N)+31,"checked":t.strftime("%Y-%m-%d %H:%M:%S.%f"),"isrc":[f"DE{x:09d}" for x in r.integers(1,10**8,N)],"label_partner":[f"L{x}" for x in r.integers(1,100,N)],"finding":pol,"outcome":np.where(e,"REJECTED","CLEARED"),"conf":s,"territory":r.choice(["DE","SE","NO"],N),"genre":r.choice(["pop","rap"],N),"monthly_listeners":r.integers(0,10**6,N),"track_title":words(r,"love night summer dance again baby tonight fire",3)})
    rev=pd.DataFrame({"check_id":log.check_id[p].values,"reviewed":rt.strftime("%Y-%m-%d %H:%M:%S"),"by":r.choice(["ed1","ed2"],400),"result":np.where(w,"false positive/negative","correct"),"where":r.choice(["Berlin","Remote"],400)})
    return log,rev,dict(check_id="decision_id",checked="decided_at",isrc="item_id",label_partner="account_id",finding="policy_id",outcome="action",conf="score",territory="market",genre="category",monthly_listeners="exposure",track_title="text"),dict(check_id="decision_id",reviewed="reviewed_at",by="reviewer_id",result="verdict",where="site"),"m.csv","r.csv",{}


def gerxlsx():
    r,t,p,rt,s,e,pol,w=base(30,["Beleidigung","Volksverhetzung","Spam","Werbung"])
    log=pd.DataFrame({"Lfd. Nr.":np.arange(1,N+1),"Kommentar-ID":np.arange(1,N+1)+90000,"Tag":t.strftime("%d.%m.%Y"),"Nutzername":[f"n{x}" for x in r.integers(1,200,N)],"Kommentar":words(r,"das ist doch alles quatsch was ihr hier schreibt liebe Leute wirklich"),"Regelverstoß":pol,"Freigabe":np.where(e,"nein","ja"),"KI-Wert":comma(s,3),"Ressort":r.choice(["Politik","Sport"],N)})
    rev=pd.DataFrame({"Kommentar-ID":log["Kommentar-ID"][p].values,"geprüft am":rt.normalize(),"geprüft durch":r.choice(["red1","red2"],400),"Entscheidung der KI":np.where(w,"unzutreffend","zutreffend")})
    return log,rev,{"Kommentar-ID":"decision_id|item_id","Tag":"decided_at","Nutzername":"account_id","Kommentar":"text","Regelverstoß":"policy_id","Freigabe":"action","KI-Wert":"score","Ressort":"category"},{"Kommentar-ID":"decision_id","geprüft am":"reviewed_at","geprüft durch":"reviewer_id","Entscheidung der KI":"verdict"},"kommentare.csv","pruefung.xlsx",dict(sep=";",enc="cp1252")


PLATFORMS = [forum, ads, german, appstore, game, french, video, dating, dutch, social, jobs, hotel, livestream, mexican, polish_offers, dwh, crowd, bank, music, gerxlsx]
# fmt: on


def write(frame, path: Path, how):
    if path.suffix == ".xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        sheet = book.active
        if how.get("title") and "QA" in path.name:
            sheet.append([how["title"]])
            sheet.append([])
        sheet.append(list(frame.columns))
        for row in frame.astype(object).itertuples(index=False):
            sheet.append(
                [
                    None if pd.isna(v) else v.to_pydatetime() if isinstance(v, pd.Timestamp) else v
                    for v in row
                ]
            )
        book.save(path)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif path.suffix == ".json":
        path.write_text(frame.to_json(orient="records", indent=1))
    else:
        text = frame.to_csv(sep="\t" if path.suffix == ".tsv" else how.get("sep", ","), index=False)
        data = text.encode(how.get("enc", "utf-8"))
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path
