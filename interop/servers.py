"""The servers: gatepost, Postfix, Exim, Dovecot. Each with its own folder, on loopback, stopped at the end."""

import os
import pwd
import shutil
import signal
import string
import subprocess

from check import complain, free_port, greets, listens, must, require, tail, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
USER, PASSWORD = "anna", "Correct-Horse+9/battery"
ADDRESS = "anna@example.test"


class Server:
    """A program that runs in the foreground."""

    def __init__(self, work, name):
        self.folder = f"{work}/{name}"
        self.name = name
        self.process = None
        os.makedirs(self.folder, exist_ok=True)

    def write(self, name, text):
        path = f"{self.folder}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def owned(self, user, *parts):
        entry = pwd.getpwnam(user)
        for part in parts:
            path = f"{self.folder}/{part}"
            os.makedirs(path, exist_ok=True)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def launch(self, command, ports):
        log = open(f"{self.folder}/log", "ab")
        self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        start_new_session=True)
        try:
            for port in ports:
                wait_for(f"{self.name} to listen on {port}",
                         lambda: listens(port) or require(self.process.poll() is None, "it ended"))
        except Exception:
            complain(f"{self.name} did not start:\n{tail(f'{self.folder}/log')}")
            raise

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class Gatepost(Server):
    def __init__(self, work, binary, certs, hops):
        super().__init__(work, "gatepost")
        self.ports = {name: free_port() for name in ("relay", "submission", "submissions", "alternative", "proxied")}
        with open(f"{HERE}/gatepost.toml") as file:
            template = string.Template(file.read())
        self.config = self.write("gatepost.toml", template.substitute(
            self.ports, data=f"{self.folder}/data", certs=certs, nobody=free_port(), user=USER,
            password=self.write("password", PASSWORD + "\n"), wrong_password=self.write("wrong", "wrong\n"), **hops))
        # Where every user of the machine may run it, also by the name that programs call.
        self.bin = f"{self.folder}/bin"
        os.mkdir(self.bin)
        self.binary = shutil.copy(binary, f"{self.bin}/gatepost")
        self.sendmail = f"{self.bin}/sendmail"
        os.symlink("gatepost", self.sendmail)
        self.has_account = False

    def start(self):
        if not self.has_account:
            must([self.binary, "account", "add", USER, "--address", ADDRESS, "--password-stdin", "-c", self.config],
                 PASSWORD + "\n")
            self.has_account = True
        self.launch([self.binary, "serve", "-c", self.config], self.ports.values())
        wait_for("gatepost's greeting", lambda: greets(self.ports["relay"]))

    def maildir(self, address):
        local, _, domain = address.partition("@")
        return f"{self.folder}/data/mail/{domain}/{local}"


# With which mechanism gatepost must log in at Postfix's ports.
MECHANISMS = {"submission": "scram-sha-256", "submissions": "plain", "alternative": "login"}


class Postfix(Server):
    """A next hop with Maildirs (postfix.test), a relay to us (example.test), and the stand-in for `--against`."""

    def __init__(self, work, certs):
        super().__init__(work, "postfix")
        self.certs = certs
        self.port = free_port()
        self.ports = {"relay": self.port} | {name: free_port() for name in ("submission", "submissions", "alternative")}

    def configure(self, gatepost_ports, auth_socket):
        self.owned("postfix", "data")
        self.owned("nobody", "mail")
        for part in ("etc", "queue"):
            os.makedirs(f"{self.folder}/{part}", exist_ok=True)
        nobody = pwd.getpwnam("nobody")
        config, ports = f"{self.folder}/etc", gatepost_ports
        self.write("etc/main.cf", f"""compatibility_level = 3.6
queue_directory = {self.folder}/queue
data_directory = {self.folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {self.folder}/log
maillog_file_prefixes = {self.folder}
myhostname = postfix.test
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
message_size_limit = 200000000
virtual_mailbox_limit = 0
virtual_mailbox_domains = postfix.test scram.test plain.test login.test wrong.test{' example.test' if not ports else ''}
virtual_mailbox_base = {self.folder}/mail
virtual_mailbox_maps = inline:{{ you@postfix.test=you/, you@scram.test=you/, you@plain.test=you/, you@login.test=you/, you@wrong.test=you/, anna@example.test=anna/, grün@postfix.test=gruen/ }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{nobody.pw_uid}
virtual_gid_maps = static:{nobody.pw_gid}
smtpd_tls_cert_file = {self.certs}/cert.pem
smtpd_tls_key_file = {self.certs}/key.pem
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth_socket}
smtp_tls_security_level = may
smtp_tls_CAfile = {self.certs}/ca.pem
smtp_tls_loglevel = 1
smtp_host_lookup = native
smtp_sasl_password_maps = inline:{{ {{ [localhost]:{ports.get('submission', 0)} = {USER}:{PASSWORD} }} {{ [localhost]:{ports.get('submissions', 0)} = {USER}:{PASSWORD} }} }}
smtp_sasl_security_options = noanonymous
transport_maps = inline:{{ {{ relay.example.test = relayed:[localhost]:{ports.get('relay', 0)} }}, {{ submission.test = submission:[localhost]:{ports.get('submission', 0)} }}, {{ submissions.test = submissions:[localhost]:{ports.get('submissions', 0)} }}, {{ example.test = {'virtual' if not ports else f'relayed:[localhost]:{ports["relay"]}'} }} }}
""")
        submission = "-o smtpd_sasl_auth_enable=yes -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject"
        client = "-o smtp_sasl_auth_enable=yes -o smtp_sasl_tls_security_options=noanonymous"
        with open("/usr/share/postfix/master.cf.dist") as stock, open(f"{config}/master.cf", "w") as master:
            for line in stock:
                words = line.split()
                if line[0] not in "# \t\n" and len(words) >= 8:
                    words[4] = "n"
                    if words[:2] == ["smtp", "inet"]:
                        words[0] = f"127.0.0.1:{self.port}"
                    line = " ".join(words) + "\n"
                master.write(line)
            for name, more in (("submission", "-o smtpd_tls_security_level=encrypt"),
                               ("submissions", "-o smtpd_tls_wrappermode=yes"),
                               ("alternative", "-o smtpd_tls_security_level=encrypt")):
                # Where gatepost logs in, each port leaves it one mechanism.
                filter_ = f"-o smtpd_sasl_mechanism_filter={MECHANISMS[name]}" if ports else ""
                master.write(f"127.0.0.1:{self.ports[name]} inet n - n - - smtpd {more} {submission} {filter_}\n")
            for name, more in (("relayed", "-o smtp_tls_security_level=secure"),
                               ("submission", f"-o smtp_tls_security_level=secure {client}"),
                               ("submissions", f"-o smtp_tls_security_level=secure -o smtp_tls_wrappermode=yes {client}")):
                master.write(f"{name} unix - - n - - smtp {more}\n")

    def start(self):
        must(["postfix", "-c", f"{self.folder}/etc", "start"])
        try:
            for port in self.ports.values():
                wait_for(f"Postfix to listen on {port}", lambda: listens(port))
        except Exception:
            complain(tail(f"{self.folder}/log"))
            raise

    def stop(self):
        subprocess.run(["postfix", "-c", f"{self.folder}/etc", "stop"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)

    def maildir(self, address):
        return f"{self.folder}/mail/{address.partition('@')[0]}"


class Exim(Server):
    """A next hop that takes CHUNKING: everything for exim.test into one Maildir."""

    def __init__(self, work, certs):
        super().__init__(work, "exim")
        self.port = free_port()
        self.certs = certs
        self.owned("Debian-exim", ".", "spool", "log_", "mail")
        self.log = f"{self.folder}/log_/mainlog"
        # It starts itself anew for every delivery, as a user who may not read where it was unpacked.
        self.binary = shutil.copy(f"{HERE}/target/exim/usr/sbin/exim4", f"{self.folder}/exim4")

    def configure(self, gatepost_ports):
        certs = self.certs
        self.config = self.write("exim.conf", f"""exim_path = {self.binary}
primary_hostname = exim.test
daemon_smtp_ports = {self.port}
local_interfaces = 127.0.0.1
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/log_/%slog
pid_file_path = {self.folder}/exim.pid
keep_environment =
message_size_limit = 200M
host_lookup =
rfc1413_hosts =
tls_advertise_hosts = *
tls_certificate = {certs}/cert.pem
tls_privatekey = {certs}/key.pem
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
acl_smtp_rcpt = recipients

begin acl
recipients:
  accept domains = exim.test : example.test
  deny message = only exim.test here, and example.test behind us

begin routers
here:
  driver = accept
  domains = exim.test
  transport = maildir
gatepost:
  driver = manualroute
  domains = example.test
  route_list = * 127.0.0.1
  self = send
  transport = to_gatepost

begin transports
maildir:
  driver = appendfile
  directory = {self.folder}/mail
  maildir_format
  create_directory
  user = Debian-exim
to_gatepost:
  driver = smtp
  port = {gatepost_ports.get("relay", 0)}
  allow_localhost
  hosts_require_tls = *
  tls_verify_certificates = {certs}/ca.pem
  tls_verify_hosts = *
""")

    def start(self):
        self.launch([self.binary, "-C", self.config, "-bdf", "-oX", str(self.port)],
                    [self.port])

    def maildir(self, _address):
        return f"{self.folder}/mail"


class Dovecot(Server):
    """LMTP by TCP and by unix socket, IMAP to read back; and the password check of the stand-in."""

    def __init__(self, work, certs):
        super().__init__(work, "dovecot")
        self.lmtp, self.imap = free_port(), free_port()
        self.socket, self.auth = f"{self.folder}/lmtp.sock", f"{self.folder}/auth.sock"
        self.owned("nobody", "mail")
        nobody = pwd.getpwnam("nobody")
        self.users = self.write("users", "".join(
            f"{name}::{nobody.pw_uid}:{nobody.pw_gid}::{self.folder}/mail/{name}::\n" for name in ("you", USER)))
        self.config = self.write("dovecot.conf", f"""protocols = lmtp imap
listen = 127.0.0.1
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.folder}/log
ssl = yes
ssl_cert = <{certs}/cert.pem
ssl_key = <{certs}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login scram-sha-256
auth_username_format = %Ln
first_valid_uid = 1
mail_location = maildir:{self.folder}/mail/%n
mail_uid = {nobody.pw_uid}
mail_gid = {nobody.pw_gid}
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = passwd-file
  args = {self.users}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.lmtp}
  }}
  unix_listener {self.socket} {{
    mode = 0666
  }}
}}
service imap-login {{
  inet_listener imap {{
    address = 127.0.0.1
    port = {self.imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service auth {{
  unix_listener {self.auth} {{
    mode = 0666
  }}
}}
""")

    def start(self):
        self.launch(["dovecot", "-F", "-c", self.config], [self.lmtp, self.imap])


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
